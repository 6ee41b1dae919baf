package openpgp

import (
	"context"
	"crypto/rand"
	"errors"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/iso7816"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// What is on the card while it is set up for its PINs.
const (
	stateTries        = "The number of tries is set, but the PINs are the previous ones." + toFinish
	stateTriesUnknown = "It is not known whether the number of tries is set. The PINs are the previous ones." + toFinish
	stateKDF          = "The card has the KDF, and the factory PINs." + toFinish
	stateKDFUnknown   = "It is not known whether the card has the KDF and the factory PINs." + toFinish
)

// Tries that can be set.
const (
	leastTries = 2 // the last one is not used without being asked for
	mostTries  = 99
)

// InitChoices are what can be decided about an OpenPGP card. A label is refused in words
// of its own.
func (c *onCard) InitChoices() []advice.Field {
	return []advice.Field{advice.Label, advice.PINTries, advice.KDF}
}

// checkSetUp refuses what the card is known not to have.
func (c *onCard) checkSetUp(ctx context.Context, o card.InitOptions) error {
	if o.PINTries != 0 && (o.PINTries < leastTries || o.PINTries > mostTries) {
		return problem.New(problem.Usage, "a PIN cannot have %d tries", o.PINTries).
			Because("The number has to be from %d to %d.", leastTries, mostTries).Advise(advice.Repeat(advice.Set(advice.PINTries, "5")))
	}
	if c.seen.terminated || c.seen.data == nil {
		return nil
	}
	changes := true
	if o.PINTries != 0 {
		selected, err := c.application(ctx)
		if err == nil {
			changes, err = selected.ChangesTries(ctx)
		}
		if err != nil {
			return err
		}
	}
	switch {
	case !changes:
		return problem.New(problem.NotSupported, "the number of PIN tries of this card cannot be changed").
			Because("YubiKeys have a command for it, since firmware 4.3.").Advise(advice.Repeat().Without(advice.PINTries))
	case o.Derived != nil && *o.Derived && !c.seen.data.Extended.KDF:
		return problem.New(problem.NotSupported, "this card has no KDF").
			Because("It accepts PINs only as they are typed.").Advise(advice.Repeat().Without(advice.KDF))
	}
	return nil
}

// derives reports whether the card gets its PINs in derived form.
func (w *work) derives(ctx context.Context) (bool, error) {
	selected, err := w.application(ctx)
	if err != nil {
		return false, err
	}
	return selected.DerivesPasswords(ctx)
}

// setUp sets the number of tries and the KDF, before the PINs: on some cards the PINs
// have the values of the factory afterwards. current is the admin PIN, nil for that of
// the factory. What is as it should be already stays, so that an interrupted run goes
// on.
func (w *work) setUp(ctx context.Context, current *secret.Bytes) error {
	if err := w.checkSetUp(ctx, w.options); err != nil { // of a card that was terminated before
		return err
	}
	if current == nil {
		current = secret.New([]byte(factoryAdminPIN))
		defer current.Wipe()
	}
	if err := w.setTries(ctx, current); err != nil {
		return err
	}
	return w.setKDF(ctx, current)
}

// unlockWith verifies the admin PIN, unless it is.
func (w *work) unlockWith(ctx context.Context, admin *secret.Bytes) error {
	if w.app.Verified(app.PW3) {
		return nil
	}
	return w.accepts(ctx, app.PW3, admin)
}

func (w *work) setTries(ctx context.Context, current *secret.Bytes) error {
	_, data, err := w.data(ctx)
	n := w.options.PINTries
	set := func(p app.PasswordStatus) bool { return p.PW1.TriesLeft == n && p.PW3.TriesLeft == n }
	if err != nil || n == 0 || set(data.Passwords) {
		return err
	}
	if err := w.unlockWith(ctx, current); err != nil {
		return err
	}
	before := w.state
	w.state = stateTriesUnknown
	put := w.app.PutTries(ctx, n)
	switch {
	case put != nil && iso7816.Refused(put):
		w.state = before
		return w.refused(put, "another number of tries", advice.PINTries)
	case put != nil && iso7816.StatusOf(put) == 0:
		return put
	}
	_, data, err = w.data(ctx)
	switch {
	case err != nil:
		return err
	case set(data.Passwords):
		w.state, w.prepared = stateTries, true
		return nil
	case put != nil:
		return put
	}
	return app.ErrNotStored
}

func (w *work) setKDF(ctx context.Context, current *secret.Bytes) error {
	if w.options.Derived == nil {
		return nil
	}
	on := *w.options.Derived
	if derives, err := w.derives(ctx); err != nil || derives == on {
		return err
	}
	if err := w.unlockWith(ctx, current); err != nil {
		return err
	}
	before := w.state
	w.state = stateKDFUnknown
	err := w.app.PutKDF(ctx, on, rand.Reader, map[app.PasswordRef][]byte{
		app.PW1: []byte(factoryUserPIN), app.PW3: []byte(factoryAdminPIN),
	})
	if err != nil {
		if iso7816.Refused(err) {
			w.state = before
			return w.refused(err, "the KDF", advice.KDF)
		}
		return err
	}
	w.state, w.prepared = stateKDF, true
	return w.proveKDF(ctx, on)
}

// refused advises the same command without what the card does not take: with it, that
// would never finish.
func (w *work) refused(err error, what string, field advice.Field) error {
	status := iso7816.StatusOf(err)
	if status == iso7816.StatusSecurityNotSatisfied {
		return err // the PIN was not verified any more
	}
	w.state = strings.TrimSuffix(w.state, toFinish)
	p := problem.New(problem.NotSupported, "the card refused %s [%s]", what, status).Advise(advice.Repeat().Without(field))
	p.Cause = err
	return p
}

// proveKDF verifies the factory's admin PIN as it is sent from now on. A card that only
// stores the KDF has its PINs as they were.
func (w *work) proveKDF(ctx context.Context, on bool) error {
	factory := secret.New([]byte(factoryAdminPIN))
	defer factory.Wipe()
	w.access.Policy.Renewed(w.described(app.PW3))
	err := w.accepts(ctx, app.PW3, factory)
	if !isWrongPIN(err) || !on {
		return err
	}
	w.app.KeptPlain()
	w.access.Policy.Renewed(w.described(app.PW3)) // it is sent in another form
	if again := w.accepts(ctx, app.PW3, factory); again != nil {
		return errors.Join(again, err)
	}
	return nil
}
