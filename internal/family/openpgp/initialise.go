package openpgp

import (
	"context"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// The PINs that an OpenPGP card comes with (specification, 4.3).
const (
	factoryUserPIN  = "123456"
	factoryAdminPIN = "12345678"
)

// surveyed is what Survey found, and on which application: another one is there
// once the card was let go.
type surveyed struct {
	contents
	on *app.Card
}

// Survey tells a blank card, whose PINs only have to be changed, from one that
// must be erased first.
func (c *onCard) Survey(ctx context.Context, o card.InitOptions) (*card.Survey, error) {
	if o.Label != "" {
		return nil, problem.New(problem.NotSupported, "an OpenPGP card has no label").
			Because("PKCS#15 cards and PKCS#11 tokens can have one.").Advise(advice.Repeat().Without(advice.Label))
	}
	found, err := c.contents(ctx)
	if err == nil {
		err = c.checkSetUp(ctx, o)
	}
	if err != nil {
		return nil, explain(err, "init", stateUntouched)
	}
	if !found.blank && !found.erasable {
		return nil, problem.New(problem.NotSupported, "init: this card cannot be erased").
			Because("The card does not report support for TERMINATE DF and ACTIVATE FILE. Its PINs and keys can be changed one by one. %s", stateUntouched)
	}
	report := card.InitReport{Serial: found.serial, Application: name, Lost: append([]string{}, found.lost...), PINs: "new"}
	if o.FactoryPINs {
		report.PINs = "factory"
	}
	needs, err := c.needs(ctx, o)
	if err != nil {
		return nil, explain(err, "init", stateUntouched)
	}
	return &card.Survey{
		Options: o, Blank: found.blank || found.terminated, Question: found.question(), Report: report, Needs: needs, Found: &surveyed{found, c.app},
	}, nil
}

// needs are the new PINs, and the current admin PIN of a card that is erased with
// it.
func (c *onCard) needs(ctx context.Context, o card.InitOptions) (needs []card.Need, err error) {
	for _, ref := range []app.PasswordRef{app.PW1, app.PW3} {
		p := c.described(ref)
		if !c.seen.terminated { // one that is tells no limits
			if p, err = c.pin(ctx, ref); err != nil {
				return nil, err
			}
		}
		if !o.FactoryPINs {
			request := pin.NewValue(p)
			request.Name = p.Secret
			needs = append(needs, card.Need{Request: request, PIN: p})
		}
		if ref == app.PW3 && !c.seen.terminated {
			needs = append(needs, card.Need{Request: secret.Request{Name: secret.CurrentAdminPIN, Optional: true}, PIN: p})
		}
	}
	return needs, nil
}

// work is one run of Initialise.
type work struct {
	*onCard
	contents
	options     card.InitOptions
	state       string // what is on the card now
	user, admin *secret.Bytes
	current     *secret.Bytes // the admin PIN that the card has; nil where it is not given
	// prepared says that tries or KDF were changed, and the PINs are not yet.
	prepared bool
}

// Initialise compares the card, if it was let go, before it changes anything.
func (c *onCard) Initialise(ctx context.Context, s *card.Survey, given map[secret.Name]*secret.Bytes) (card.InitReport, error) {
	report, found := s.Report, s.Found.(*surveyed)
	w := &work{
		onCard: c, contents: found.contents, options: s.Options, state: stateUntouched,
		user: given[secret.PIN], admin: given[secret.AdminPIN], current: given[secret.CurrentAdminPIN],
	}
	err := w.compare(ctx, found)
	if err == nil {
		report.Erased, err = w.run(ctx)
	}
	if err == nil {
		report.Derived, err = w.derives(ctx)
	}
	return report, explain(err, "init", w.state)
}

// compare looks whether a card that was let go still holds what was confirmed to
// be lost.
func (w *work) compare(ctx context.Context, found *surveyed) error {
	if _, err := w.line.Channel(ctx); err != nil || w.app == found.on {
		return err
	}
	now, err := w.onCard.contents(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(now.lost, found.lost) {
		return key.ChangedMeanwhile("the contents of the card have changed since the question", "it", "")
	}
	w.contents = now
	return nil
}

func (w *work) run(ctx context.Context) (erased bool, err error) {
	switch named, err := w.named(ctx); {
	case err != nil:
		return false, err
	case named:
		return w.erasable, w.afterNamed(ctx)
	}
	// That a blank card has the factory's PINs is only known of one that was
	// just erased. A power cut may have cost a try; whoever does not name the
	// admin PIN has such a card erased by blocking.
	begun := w.erasable && w.empty && w.current != nil
	if (w.blank || begun) && !(w.options.FactoryPINs && w.erasable) {
		err := w.setUp(ctx, nil)
		ready := err == nil
		if ready {
			err = w.setPINs(ctx)
		}
		if err == nil && !w.erasable {
			err = w.removeResettingCode(ctx)
		}
		switch {
		case !isWrongPIN(err):
			return false, err
		case !w.erasable:
			return false, w.notTheFactorys(err)
		}
		if ready && w.state == stateUntouched {
			if err := w.resume(ctx); !isWrongPIN(err) {
				return false, err
			}
		}
		if w.state != stateUntouched && !w.prepared {
			w.state = stateUserNew
		}
		// Blank, but not with the factory's PINs: the erasure that was
		// confirmed is needed after all. What was guessed says nothing of the
		// admin PIN that the user names.
		w.access.Policy.Another(w.described(app.PW3))
	}
	if err := w.erase(ctx); err != nil {
		return true, err
	}
	return true, w.complete(ctx)
}

// complete sets up an erased card.
func (w *work) complete(ctx context.Context) error {
	if err := w.setUp(ctx, nil); err != nil {
		return err
	}
	return w.setPINs(ctx)
}

// named verifies the current admin PIN that the user names for this command: a wrong one
// ends the work, on a blank card too.
func (w *work) named(ctx context.Context) (named bool, err error) {
	if w.current == nil || w.terminated || !slices.Contains(w.options.Named, secret.CurrentAdminPIN) {
		return false, nil
	}
	return true, w.verifyCurrent(ctx)
}

// afterNamed has a card whose admin PIN is verified erased and set up. One that cannot
// be erased, and is blank, gets its PINs by the admin PIN.
func (w *work) afterNamed(ctx context.Context) error {
	switch {
	case w.erasable:
		if err := w.erase(ctx); err != nil {
			return err
		}
		return w.complete(ctx)
	}
	if err := w.setUp(ctx, w.current); err != nil {
		return err
	}
	switch {
	case w.options.FactoryPINs:
		return nil
	case w.options.Derived != nil && w.prepared: // the PINs are those of the factory then
		return w.setPINs(ctx)
	}
	if err := w.unlockWith(ctx, w.current); err != nil {
		return err
	}
	w.state = "The user PIN may be the new one, and the admin PIN is the current one."
	if err := w.app.ResetRetryCounter(ctx, w.user); err != nil {
		return err
	}
	w.state = "The user PIN is the new one, and the admin PIN is the current one."
	p, err := w.pin(ctx, app.PW3)
	if err != nil {
		return err
	}
	if err := w.replacePIN(ctx, app.PW3, p, w.current, w.admin, "The user PIN is the new one, and the admin PIN is the current one or the new one."); err != nil {
		return err
	}
	w.state = ""
	return w.removeResettingCode(ctx)
}

// setPINs changes the factory's PINs to the new ones, the admin PIN last.
func (w *work) setPINs(ctx context.Context) error {
	if w.options.FactoryPINs {
		return nil
	}
	if err := w.changeFrom(ctx, app.PW1, factoryUserPIN, w.user, "The user PIN is the factory PIN or the new one, and the admin PIN is the factory PIN."); err != nil {
		return err
	}
	return w.setAdminPIN(ctx)
}

func (w *work) setAdminPIN(ctx context.Context) error {
	w.state = "The user PIN is the new one, but the admin PIN is still the factory PIN."
	if err := w.changeFrom(ctx, app.PW3, factoryAdminPIN, w.admin, "The user PIN is the new one, and the admin PIN is the factory PIN or the new one."); err != nil {
		return err
	}
	w.state = ""
	return nil
}

// resume goes on from where an interrupted run left the card: with the new user
// PIN, and with the factory's admin PIN or already the new one. A wrong PIN says
// that no such run was before.
func (w *work) resume(ctx context.Context) error {
	if err := w.accepts(ctx, app.PW1, w.user); err != nil {
		return err
	}
	err := w.setAdminPIN(ctx)
	if isWrongPIN(err) {
		w.state = stateUserNew
		err = w.accepts(ctx, app.PW3, w.admin)
	}
	if err == nil {
		w.state = ""
	}
	return err
}

// accepts sends a PIN, unless it was sent, whatever the card said to another.
func (w *work) accepts(ctx context.Context, ref app.PasswordRef, value *secret.Bytes) error {
	p, err := w.pin(ctx, ref)
	if err != nil {
		return err
	}
	w.access.Policy.Another(p)
	return w.access.Policy.Given(value).Send(ctx, p, w.verify(ref))
}

// changeFrom changes a factory PIN. unknown is what is on the card where that was
// not answered plainly. The old PIN has the length that it has, so it is not
// verified first.
func (w *work) changeFrom(ctx context.Context, ref app.PasswordRef, factory string, replacement *secret.Bytes, unknown string) error {
	p, err := w.pin(ctx, ref)
	if err != nil {
		return err
	}
	old := secret.New([]byte(factory))
	defer old.Wipe()
	return w.replacePIN(ctx, ref, p, old, replacement, unknown)
}

// replacePIN is CHANGE REFERENCE DATA of a PIN whose value is known.
func (w *work) replacePIN(ctx context.Context, ref app.PasswordRef, p pin.PIN, old, replacement *secret.Bytes, unknown string) error {
	policy := w.access.Policy.With(func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
		if r.New {
			return replacement.Clone(), nil
		}
		return old.Clone(), nil
	})
	err := policy.Change(ctx, pin.Change{By: p, New: p, Set: w.replace(ref)})
	var told *pin.StateError
	if errors.As(err, &told) {
		if !told.Unchanged() {
			w.state = unknown
		}
		return told.Unwrap()
	}
	return err
}

// notTheFactorys explains a card that cannot be erased and whose PINs somebody
// has changed: what the user gave is not what the card refused.
func (w *work) notTheFactorys(err error) error {
	var refused *problem.Error
	errors.As(err, &refused)
	which := pin.User
	if w.state != stateUntouched {
		which, w.state = pin.Admin, stateUserNew
	}
	p := problem.New(problem.PINIncorrect, "the %s of this card is no longer the factory PIN", which.Name()).
		Because("The factory PIN was tried, because the card has no keys or certificates and cannot be erased.").
		Advise(advice.Do(advice.SetPIN).On(string(which)))
	if left := refused.TriesLeft; left != nil {
		p.WithTries(*left).Because("%s The %s has %s.", p.Why, which.Name(), pin.Left(*left).Note())
	}
	p.Cause = err
	return p
}

// removeResettingCode is for a card that cannot be erased: a code that somebody
// has set would outlive the new PINs. There are cards that count tries for one
// that was never set.
func (w *work) removeResettingCode(ctx context.Context) error {
	_, data, err := w.data(ctx)
	if err != nil || data.Passwords.RC.TriesLeft == 0 || w.options.FactoryPINs {
		return err
	}
	w.state = "The PINs are the new ones, but a resetting code may still be set."
	p, err := w.pin(ctx, app.PW3)
	if err == nil {
		err = w.access.Policy.Given(w.admin).Send(ctx, p, w.verify(app.PW3))
	}
	if err != nil {
		return err
	}
	selected, err := w.application(ctx)
	if err == nil {
		err = selected.PutResettingCode(ctx, nil)
	}
	if err == nil {
		w.state = ""
	}
	return err
}

func isWrongPIN(err error) bool {
	return problem.Is(err, problem.PINIncorrect) || problem.Is(err, problem.PINBlocked)
}
