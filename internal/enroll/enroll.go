// Package enroll gets a certificate for a key on a card, and renews it: the card signs a
// request, an issuer certifies it, and what is checked is written to the card. Each issuer
// has a file of its own. What came, or has to be waited for, is remembered until it is on
// the card, so that no second certificate is asked for.
package enroll

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/secret"
)

// Options are what the caller knows and decides.
type Options struct {
	// Issuer is its address; in a renewal it may be empty, for the one that certified the
	// key from here.
	Issuer string
	// Names are what is asked for; a renewal asks for those of the certificate.
	Names csr.Options
	SID   string
	Days  int

	// AcceptNames takes a certificate whose subject is not the one that was asked for.
	AcceptNames bool
	// AskAnew forgets an earlier request that is not answered.
	AskAnew bool
	// DryRun tells what would be asked for.
	DryRun bool

	// Renew has the certificate of the key renewed, Before only where it ends within that
	// time; 0 for always. NewKey has a new key generated in the place of the one it has.
	// AuthKey is another key of the card that authenticates it.
	Renew   bool
	Before  time.Duration
	AuthKey string
	NewKey  bool

	// Roots are the CAs that the issuer has to be one of, IssuerDesk and IssuerKey the
	// card that the issuer is reached with.
	Roots      []*cert.Certificate
	IssuerDesk *desk.Desk
	IssuerKey  string

	// Environ is added to the environment of a command.
	Environ []string

	// Sittings are the CAs of this machine that stay open from one certificate to the
	// next; nil for none.
	Sittings *ca.Sittings

	Identifier certstore.Renewal
	Now        time.Time
}

// Report is what was done.
type Report struct {
	certstore.Report

	// Issuer is its address.
	Issuer string `json:"issuer"`
	// Dropped is what was asked for in vain, in the words of the issuer.
	Dropped []string `json:"dropped,omitempty"`
	// Notes are sentences about what else the issuer said.
	Notes []string `json:"notes,omitempty"`
	// Differences say how the names differ from those that were asked for.
	Differences []string `json:"differences,omitempty"`
	// NotDue says that the certificate is valid for longer than Before, and was left.
	NotDue bool `json:"notDue,omitempty"`
	// Plan is what would be asked for.
	Plan *Plan `json:"plan,omitempty"`
}

// Plan is what would be asked for.
type Plan struct {
	Subject   string   `json:"subject"`
	Names     []string `json:"names,omitempty"` // alternative names
	Algorithm string   `json:"algorithm"`
	// Signed says that the card signs: a request, or what renews the certificate without one.
	Signed bool `json:"signed"`
}

// Enroll has the key of the card that is meant certified, and writes the certificate to
// the card.
func Enroll(ctx context.Context, d *desk.Desk, a desk.Access, reference string, o Options) (report Report, err error) {
	issuerAccess := a
	ask, wipe := secret.Again(a.Ask)
	defer wipe()
	a.Ask = ask
	r := &run{o: &o, order: o.order(issuerAccess, d.StateDir)}
	defer r.wipeChallenge()
	if err := r.begin(ctx, reference); err != nil {
		return report, err
	}
	err = family.WithKey(ctx, d, reference, a, func(ctx context.Context, here family.At, k key.Key) error {
		r.here, r.key = here, k
		r.order.Access = here.Access
		return r.alone(ctx)
	})
	return r.report, err
}

// On is Enroll for a key of a card that its caller has open, and whose secrets it gives
// again if the card was let go.
func On(ctx context.Context, here family.At, k key.Key, o Options) (Report, error) {
	r := &run{o: &o, order: o.order(here.Access, here.Line.StateDir), here: here, key: k}
	defer r.wipeChallenge()
	if err := r.begin(ctx, k.Reference().String()); err != nil {
		return r.report, err
	}
	return r.report, r.alone(ctx)
}

// alone does it, and then lets others enrol the key again.
func (r *run) alone(ctx context.Context) error {
	defer func() {
		if r.unlock != nil {
			r.unlock()
		}
	}()
	return r.do(ctx)
}

// begin is what is known to be wrong before a card is touched.
func (r *run) begin(ctx context.Context, reference string) (err error) {
	o := r.o
	if o.Days != 0 {
		if _, _, err := csr.Validity(o.Now, o.Days); err != nil {
			return err
		}
	}
	if o.NewKey {
		if err := fixedPlace(reference); err != nil {
			return err
		}
	}
	if o.Renew {
		return nil // the card has the names
	}
	if r.order.Request, err = csr.Parse(o.Names); err != nil {
		return err
	}
	return r.prepare(ctx, o.Issuer)
}

// wipeChallenge overwrites the challenge password of the request.
func (r *run) wipeChallenge() {
	if r.order.Request.Challenge != nil {
		secret.Wipe(r.order.PKCS10)
		r.order.Request.Challenge.Wipe()
	}
}

// order is that before the card is reached.
func (o *Options) order(a desk.Access, stateDir func() (string, error)) *Order {
	return &Order{
		Names: o.Names, SID: o.SID, Days: o.Days, Renewal: o.Renew, Roots: o.Roots,
		Access: a, IssuerDesk: o.IssuerDesk, IssuerKey: o.IssuerKey, Sittings: o.Sittings, Environ: o.Environ, StateDir: stateDir, Now: func() time.Time { return o.Now },
	}
}

// run is one enrolment.
type run struct {
	o      *Options
	here   family.At
	key    key.Key
	issuer Issuer
	// lasting is its address as it is remembered.
	lasting string
	order   *Order
	record  *record
	// before is the certificate that is renewed.
	before *cert.Certificate
	// unkept is why what came is not remembered.
	unkept error
	// unlock lets others enrol the key again; nil where it was not locked.
	unlock func()
	report Report
}

func (r *run) prepare(ctx context.Context, address string) (err error) {
	if r.issuer, err = Open(address); err != nil {
		return err
	}
	if err := officerOf(r.issuer, r.o.IssuerKey); err != nil {
		return err
	}
	if traits := r.issuer.Traits(); r.o.NewKey { // without a key that authenticates it, it is an enrolment
		r.order.Renewal = traits.PublicKeys && traits.Reissues || r.o.AuthKey != ""
	}
	r.report.Issuer = address
	if r.lasting, err = lasting(r.issuer, address); err != nil {
		return err
	}
	if r.here.Line != nil && r.issuer.Traits().Away {
		if err := r.here.Line.Pause(ctx); err != nil {
			return err
		}
	}
	return r.issuer.Prepare(ctx, r.order)
}

// Lasting is the address of an issuer for every working directory.
func Lasting(address string) (string, error) {
	issuer, err := Open(address)
	if err != nil {
		return "", err
	}
	return lasting(issuer, address)
}

func lasting(issuer Issuer, address string) (string, error) {
	if local, is := issuer.(Local); is {
		return local.Lasting()
	}
	return address, nil
}

// do is everything that is done with the card.
func (r *run) do(ctx context.Context) error {
	if err := r.look(ctx); err != nil {
		return err
	}
	if r.o.Renew {
		var err error
		if r.before, err = r.due(ctx); err != nil || r.before == nil {
			return err
		}
		if err := r.prepare(ctx, r.renewedBy()); err != nil {
			return err
		}
	}
	if r.o.DryRun {
		return r.plan(ctx)
	}
	if err := r.mayReplace(ctx); err != nil {
		return err
	}
	if r.o.NewKey {
		if err := r.newKey(ctx, r.before); err != nil {
			return err
		}
	}
	answer, err := r.answer(ctx)
	if err != nil {
		return err
	}
	if err = r.check(ctx, answer); err == nil {
		err = r.store(ctx, answer)
	}
	if err != nil {
		err = errors.Join(err, r.unkept)
	}
	if err := r.settle(ctx, answer, err); err != nil {
		return err
	}
	return r.record.stored()
}

// look reads what there is: the key, its certificate, and what is remembered of it.
func (r *run) look(ctx context.Context) (err error) {
	o := r.order
	o.Ref = r.key.Reference().String()
	card := &onCard{Key: r.key, here: r.here, o: r.o}
	o.Card, o.Auth = card, Auth{Card: card}
	if o.PublicKey, err = r.key.Public(ctx); err != nil {
		return err
	}
	holder, err := r.key.Holder(ctx)
	if err != nil {
		return err
	}
	o.Serial = holder.Serial
	if !r.o.DryRun { // what is there is read when nobody else changes it
		if r.unlock, err = alone(o); err != nil {
			return err
		}
	}
	if o.Current, err = r.key.Certificate(ctx); err != nil {
		return err
	}
	o.Auth.Certificate = o.Current
	r.report.Report.Reader, r.report.Ref = r.here.Place, o.Ref
	r.record, err = remembered(o)
	return err
}

// store writes the certificate to the card.
func (r *run) store(ctx context.Context, answer Answer) error {
	r.here.Recording.IssuedBy(r.lasting)
	stored, err := certstore.ImportOn(ctx, r.key, withoutRoots(answer.Certificates), certstore.Options{
		Now: r.o.Now, AllowExpired: true, // its dates were checked
		Identifier: r.o.Identifier, Confirm: r.here.Access.Confirm, Confirmed: r.order.Current,
	})
	stored.Reader = r.here.Place
	r.report.Report = stored
	return err
}

// withoutRoots leaves out CAs that certify themselves: whoever verifies the certificate has
// to have them from elsewhere (RFC 5280, 6.1).
func withoutRoots(all []*cert.Certificate) []*cert.Certificate {
	return slices.DeleteFunc(slices.Clone(all), func(c *cert.Certificate) bool { return c.IsCA && bytes.Equal(c.RawSubject, c.RawIssuer) })
}

// mayReplace asks before a request is made for a certificate that another one has to give
// way to.
func (r *run) mayReplace(ctx context.Context) error {
	if len(r.order.Current) == 0 || r.o.Renew || sameBytes(r.record.Certificates, r.order.Current) {
		return nil
	}
	old := certstore.Describe(r.order.Current, r.order.PublicKey)
	return r.here.Access.Confirm.Ask(ctx, advice.Question{
		Deed: "Replace", Subject: "the certificate of " + r.order.Ref, Lost: "The current one is for " + old.InWords() + ".",
	})
}
