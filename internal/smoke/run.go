package smoke

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// run is the state between the checks.
type run struct {
	o      Options
	report Report
	failed error // the first failure
	// stopped says that nothing can come after that failure.
	stopped bool
	// proved says that something secret was done with the key, and right.
	proved bool
	// refused are the digests that the key does not sign.
	refused map[crypto.Hash]bool

	at          *bench
	module      *p11.Module
	session     *p11.Session
	key         *p11.Key
	certificate *cert.Certificate
}

func newRun(o Options, at *bench) *run {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Module == "" {
		o.Module = o.URI.Module()
	}
	if o.Module == "" {
		o.Module = desk.DefaultModule
	}
	return &run{o: o, at: at, report: Report{Module: o.Module, Key: o.Key, Checks: []Check{}}, refused: map[crypto.Hash]bool{}}
}

// skipped ends a check that cannot be made here; its text is the reason.
type skipped string

func (s skipped) Error() string { return string(s) }

func skip(format string, args ...any) error { return skipped(fmt.Sprintf(format, args...)) }

// check makes one check and notes how it ended; it reports whether it passed.
func (r *run) check(ctx context.Context, name string, f func() (detail string, err error)) bool {
	if r.stopped {
		return false
	}
	start := time.Now()
	detail, err := f()
	c := Check{Name: name, Result: Pass, Detail: detail, Milliseconds: time.Since(start).Milliseconds()}
	var reason skipped
	switch {
	case errors.As(err, &reason):
		c.Result, c.Detail = Skip, string(reason)
	case err != nil:
		c.Result, c.Detail = Fail, err.Error()
		r.keep(err)
		r.stopped = r.stopped || ctx.Err() != nil
	}
	r.report.Checks = append(r.report.Checks, c)
	if r.o.Progress != nil {
		r.o.Progress(c)
	}
	return c.Result == Pass
}

// keep notes a failure. A card that is gone and a PIN that was refused leave
// nothing to go on with.
func (r *run) keep(err error) {
	if err == nil {
		return
	}
	if r.failed == nil {
		r.failed = err
	}
	if problem.Gone(err) || problem.Is(err, problem.PINIncorrect) || problem.Is(err, problem.PINBlocked) {
		r.stopped = true
	}
}

func (r *run) openModule(ctx context.Context) bool {
	return r.check(ctx, "module", func() (string, error) {
		if err := p11.Suits(r.o.Module, r.public()); err != nil {
			return "", err
		}
		m, err := r.at.load(ctx, r.o.Module)
		if err != nil {
			return "", err
		}
		r.module, r.report.Module = m, m.Path()
		return m.Path() + ", " + m.Description(), nil
	})
}

func (r *run) findToken(ctx context.Context) bool {
	return r.check(ctx, "token", func() (string, error) {
		wanted, _ := lend.Wanted(r.o.Reader, r.o.Holder, r.public())
		wanted.URI = r.o.URI
		s, err := r.at.find(ctx, r.module, wanted)
		if problem.Is(err, problem.NotFound) && r.o.There != nil {
			if gone := r.o.There(ctx); problem.Gone(gone) {
				err = gone
			}
		}
		if err != nil {
			return "", err
		}
		r.session, r.report.Token = s, s.Token().URI
		if err := p11.Suits(r.o.Module, s.Found().Public); err != nil { // of a token
			return "", err
		}
		return fmt.Sprintf("%q in %q", s.Token().Label, s.Token().SlotDescription), nil
	})
}

// public is the key that is expected, nil where nothing is known of it.
func (r *run) public() crypto.PublicKey {
	if r.o.Public == nil && r.o.Certificate != nil {
		return r.o.Certificate.PublicKey
	}
	return r.o.Public
}

// checkCertificate looks for the certificate where a program would.
func (r *run) checkCertificate(ctx context.Context) {
	r.check(ctx, "certificate", func() (string, error) {
		shown, own := r.session.Found().Certificates, r.o.Certificate
		if own != nil && r.o.Public != nil && !pubkey.Same(own.PublicKey, r.o.Public) {
			return "", problem.New(problem.Mismatch, "the certificate on the card is not for this key").
				Because("It has another public key.").Advise(advice.Do(advice.ShowCard))
		}
		switch {
		case own == nil && len(shown) == 0:
			return "", skip("there is no certificate for this key, so programs that search for one do not find the key. Import one for it")
		case own == nil:
			r.certificate = shown[0]
			return r.describe(shown[0]), r.valid()
		case len(shown) == 0:
			missing := problem.New(problem.NotFound, "the module does not show the certificate of this key").
				Because("The card has one, but programs that use this module do not find it.").
				Advise(advice.Do(advice.Diagnose))
			if other := r.o.Holder.ShownInstead; other != "" {
				missing.Because("%s", missing.Why+" Some versions of OpenSC show only that of "+other+".").
					Advise(advice.Repeat(advice.Set(advice.Key, other)))
			}
			return "", missing
		}
		for _, certificate := range shown {
			if certificate.Equal(own) {
				r.certificate = own
				return "the card's own: " + r.describe(own), r.valid()
			}
		}
		return "", problem.New(problem.Mismatch, "the module does not show the certificate for this key that is on the card").
			Because("The module shows %q, the card has %q. A module may keep a copy of an old certificate.", shown[0].Subject, own.Subject).
			Advise(r.module.ReadAgain())
	})
}

func (r *run) importCertificate() advice.Advice {
	return advice.Do(advice.ImportCertificate, advice.Set(advice.Key, r.o.Key)).On("FILE")
}

func (r *run) describe(c *cert.Certificate) string {
	return fmt.Sprintf("%s, valid until %s", c.Subject, c.NotAfter.UTC().Format(time.RFC3339))
}

// valid checks the dates of the certificate, which every program does.
func (r *run) valid() error {
	now, c := r.o.Now(), r.certificate
	var invalid *problem.Error
	switch {
	case now.After(c.NotAfter):
		invalid = problem.New(problem.Mismatch, "the certificate has expired").
			Because("It was valid until %s.", c.NotAfter.UTC().Format(time.RFC3339))
	case now.Before(c.NotBefore):
		invalid = problem.New(problem.Mismatch, "the certificate is not valid yet").
			Because("It is valid from %s. It is now %s here.", c.NotBefore.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	default:
		return nil
	}
	return invalid.Advise(advice.Do(advice.CreateRequest, advice.Set(advice.Key, r.o.Key), advice.Fill(advice.Subject)))
}

func (r *run) login(ctx context.Context) bool {
	return r.check(ctx, "login", func() (string, error) {
		switch t := r.session.Token(); {
		case r.session.LoggedIn():
			return "already logged in", nil
		case !t.LoginRequired:
			return "the token needs no login", nil
		case t.PINPad:
			return "with the PIN entered on the reader", r.sendPIN(ctx)
		case r.o.PIN.Derived:
			return "", problem.New(problem.NotSupported, "%s: the user PIN cannot be sent through this module", r.report.Module).
				Because("The card expects its PINs in key derived format (KDF), which this module does not support. " +
					"The card would count a correct PIN as wrong. The module scute leaves the PIN to GnuPG.").
				Advise(advice.Repeat(advice.Set(advice.Module, "scute")))
		}
		return "with the user PIN", r.sendPIN(ctx)
	})
}

// sendPIN logs in, by the policy. A PIN that was not accepted ends the run: the
// card's other tokens may have the same.
func (r *run) sendPIN(ctx context.Context) error {
	own, err := r.pin()
	if err != nil {
		return err
	}
	r.session.OnPINPad(r.o.Notify)
	err = r.o.Policy.Send(ctx, own, func(ctx context.Context, value *secret.Bytes) error {
		return r.session.LoginWith(ctx, p11.User, value)
	})
	if err == nil && r.o.Holder.SharedPIN {
		r.session.SharePIN()
	}
	r.stopped = r.stopped || err != nil
	return err
}

// pin is the PIN that the token takes. What the card itself tells of it goes before
// what the module does, which is asked where the card tells nothing.
func (r *run) pin() (pin.PIN, error) {
	own, told, token := r.o.TokenPIN(r.module, r.session), r.o.PIN, r.session.Token()
	if told.Tries == nil {
		return own, nil
	}
	if r.o.Holder.SeveralPINs && !token.IsCalled(r.o.Holder.Token) {
		return own, problem.New(problem.TriesUnknown, "%s: it is not known which of the card's PINs the token %q needs, and none was sent", r.report.Module, token.Label).
			Because("The key needs the %s. Sent instead of another PIN, it would use up a try of that PIN.", told.Name()).
			Advise(advice.Repeat(advice.Set(advice.Key, r.session.URIOfFound().String())))
	}
	modules := own.Tries
	own.Holder, own.Label, own.Rescue, own.Final = told.Holder, told.Label, told.Rescue, told.Final
	own.Tries = func(ctx context.Context, again bool) (pin.Tries, error) {
		left, err := told.Tries(ctx, again)
		if err != nil || left.Known() {
			return left, err
		}
		return modules(ctx, again)
	}
	own.Min = max(own.Min, told.Min)
	if own.Max == 0 || told.Max > 0 && told.Max < own.Max {
		own.Max = told.Max
	}
	return own, nil
}

func (r *run) findKey(ctx context.Context) bool {
	return r.check(ctx, "key", func() (string, error) {
		key, err := r.session.Key(ctx)
		if err != nil {
			return "", err
		}
		r.key, r.report.Token = key, r.session.Token().URI // it may be on another token of the card
		uses := []string{}
		for _, use := range []struct {
			may  bool
			name string
		}{{key.MaySign(), "sign"}, {key.MayDecrypt(), "decrypt"}, {key.MayDerive(), "derive"}} {
			if use.may {
				uses = append(uses, use.name)
			}
		}
		detail := fmt.Sprintf("%s, for %s", key.URI(), strings.Join(uses, ", "))
		if key.AlwaysAuthenticates() {
			detail += ", needs the PIN for every use"
		}
		return detail, nil
	})
}
