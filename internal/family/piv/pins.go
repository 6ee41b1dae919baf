package piv

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Lengths in bytes: a PIN has at least six, the PUK of the standard eight, and that of a
// YubiKey six. A YubiKey FIPS takes no new ones of less than eight.
const (
	leastPIN    = 6
	standardPUK = 8
	leastOfFIPS = 8 // of a PIN and a PUK
)

// byPUK unblocks the user PIN.
func byPUK() advice.Advice {
	return advice.Do(advice.UnblockPIN, advice.Ask(secret.PUK), advice.Ask(secret.NewPIN)).On(string(pin.User))
}

// PINs are the PIN that opens the keys, and the PUK.
func (c *onCard) PINs(ctx context.Context) ([]pin.PIN, error) {
	user, err := c.userPIN(ctx)
	if err != nil {
		return nil, explain(err, "reading the card", "")
	}
	puk, err := c.puk(ctx)
	return []pin.PIN{user, puk}, explain(err, "reading the card", "")
}

func (c *onCard) userPIN(ctx context.Context) (pin.PIN, error) {
	p, _, err := c.userPINOf(ctx)
	return p, err
}

// userPINOf is the PIN that the discovery object names; a card that tells of the PIN of
// the application is not asked for that.
func (c *onCard) userPINOf(ctx context.Context) (pin.PIN, app.PINReference, error) {
	ref := app.ApplicationPIN
	if _, err := c.about(ctx, byte(ref)); err != nil {
		if !app.Unanswered(err) {
			return pin.PIN{}, ref, err
		}
		if ref, err = c.pinOf(ctx); err != nil {
			return pin.PIN{}, ref, err
		}
	}
	return c.userPINAt(ref), ref, nil
}

// userPINAt is the PIN with a reference.
func (c *onCard) userPINAt(ref app.PINReference) pin.PIN {
	return pin.PIN{
		Role: pin.User, Secret: secret.PIN, Holder: c.holder(), Min: leastPIN, Max: app.LongestPIN, Rescue: byPUK(),
		Tries: func(ctx context.Context, again bool) (pin.Tries, error) { return c.tries(ctx, ref, again) },
	}
}

// pinOf reads the discovery object, once.
func (c *onCard) pinOf(ctx context.Context) (app.PINReference, error) {
	selected, err := c.application(ctx)
	if err != nil || c.opens != nil {
		return c.opened(), err
	}
	discovery, err := selected.GetData(ctx, app.Discovery)
	if err != nil && !app.Unanswered(err) {
		return app.ApplicationPIN, err
	}
	ref := app.PINOf(discovery)
	c.opens = &ref
	return ref, nil
}

func (c *onCard) opened() app.PINReference {
	if c.opens == nil {
		return app.ApplicationPIN
	}
	return *c.opens
}

// puk is the PUK, of which only metadata tell the tries.
func (c *onCard) puk(ctx context.Context) (pin.PIN, error) {
	p := pin.PIN{
		Role: pin.PUK, Secret: secret.PUK, Holder: c.holder(), Min: standardPUK, Max: app.LongestPIN,
		Rescue: advice.Do(advice.ShowCard), Final: pin.OnlyInitialising,
		Tries: func(ctx context.Context, again bool) (pin.Tries, error) { return c.tries(ctx, app.PUK, again) },
	}
	yubico, err := c.yubico(ctx)
	if yubico {
		p.Min = leastPIN
	}
	return p, err
}

// tries are those of the metadata; a PIN's are also told by VERIFY without data.
func (c *onCard) tries(ctx context.Context, ref app.PINReference, again bool) (pin.Tries, error) {
	selected, err := c.application(ctx)
	if err != nil {
		return pin.Unknown(), err
	}
	if again {
		delete(c.metadata, byte(ref))
		delete(c.left, ref)
	}
	if known, ok := c.left[ref]; ok {
		return known, nil
	}
	left, err := c.askTries(ctx, selected, ref)
	if err == nil {
		c.left[ref] = left
	}
	return left, err
}

func (c *onCard) askTries(ctx context.Context, selected *app.Card, ref app.PINReference) (pin.Tries, error) {
	m, err := c.about(ctx, byte(ref))
	switch {
	case err == nil && m.Counted:
		return pin.Left(m.Left), nil
	case err != nil && key.Unreachable(ctx, err):
		return pin.Unknown(), err
	case ref == app.PUK:
		return pin.Unknown(), nil
	}
	left, counted, err := selected.Tries(ctx, ref)
	if errors.Is(err, app.ErrVerified) {
		if err = c.line.Reset(); err == nil {
			selected, err = c.application(ctx)
		}
		if err == nil {
			left, counted, err = selected.Tries(ctx, ref)
		}
		if errors.Is(err, app.ErrVerified) {
			return pin.Unknown(), nil
		}
	}
	c.verified = nil // asking may have taken it back
	if err != nil || !counted {
		return pin.Unknown(), explain(err, "reading the tries left", "")
	}
	return pin.Left(left), nil
}

// verify is VERIFY of the PIN.
func (c *onCard) verify(ref app.PINReference) func(context.Context, *secret.Bytes) error {
	return func(ctx context.Context, value *secret.Bytes) error {
		selected, err := c.application(ctx)
		if err != nil {
			return err
		}
		c.verified = nil
		if err = selected.Verify(ctx, ref, value); err == nil {
			c.verified = selected
		}
		return wrong(err)
	}
}

// wrong tells the policy for PINs what the card said of one.
func wrong(err error) error {
	var refused *app.PINError
	if errors.As(err, &refused) {
		return &pin.WrongError{Left: pin.Left(refused.TriesLeft), Cause: refused.Cause}
	}
	return err
}

// SetPIN changes the PIN or the PUK. Both values of CHANGE REFERENCE DATA are padded to
// one length, so the card tells them apart.
func (c *onCard) SetPIN(ctx context.Context, role pin.Role) (pin.Change, error) {
	var p pin.PIN
	ref := app.PUK
	var err error
	switch role {
	case pin.User:
		p, ref, err = c.userPINOf(ctx)
	case pin.PUK:
		p, err = c.puk(ctx)
	default:
		return pin.Change{}, problem.New(problem.NotSupported, "a PIV card has no such PIN").Because("Valid names: user, puk.")
	}
	if err != nil {
		return pin.Change{}, explain(err, "reading the card", "")
	}
	return c.changing(ctx, p, ref)
}

// changing is CHANGE REFERENCE DATA of a PIN.
func (c *onCard) changing(ctx context.Context, p pin.PIN, ref app.PINReference) (pin.Change, error) {
	replacement, err := c.replacement(ctx, p)
	return pin.Change{By: p, New: replacement, Set: func(ctx context.Context, old, replacement *secret.Bytes) error {
		selected, err := c.application(ctx)
		if err != nil {
			return err
		}
		c.verified = nil
		return wrong(selected.ChangeReferenceData(ctx, ref, old, replacement))
	}}, explain(err, "reading the card", "")
}

// replacement is a PIN with the form of a new value: a PIN of the standard has digits
// alone (part 1, 4.3).
func (c *onCard) replacement(ctx context.Context, p pin.PIN) (pin.PIN, error) {
	yubico, err := c.yubico(ctx)
	p.Digits = !yubico && p.Role == pin.User
	return p, err
}

// UnblockedBy is the way to a new user PIN.
func (c *onCard) UnblockedBy() []secret.Name { return []secret.Name{secret.PUK} }

// UnblockPIN gives the user PIN its tries back and a new value, by the PUK.
func (c *onCard) UnblockPIN(ctx context.Context, role pin.Role, by secret.Name) (pin.Change, error) {
	if role != pin.User || by != secret.PUK && by != "" {
		return pin.Change{}, problem.New(problem.NotSupported, "a PIV card cannot do that").
			Because("Only the user PIN can be unblocked, with the PUK.").Advise(byPUK())
	}
	puk, err := c.puk(ctx)
	if err != nil {
		return pin.Change{}, explain(err, "reading the card", "")
	}
	user, ref, err := c.userPINOf(ctx)
	if err == nil {
		user, err = c.replacement(ctx, user)
	}
	return pin.Change{By: puk, New: user, Set: func(ctx context.Context, puk, replacement *secret.Bytes) error {
		selected, err := c.application(ctx)
		if err != nil {
			return err
		}
		c.verified = nil
		return wrong(selected.ResetRetryCounter(ctx, ref, puk, replacement))
	}}, explain(err, "reading the card", "")
}

// pinForm is that of the standard: a PIN has six to eight digits (part 2, 2.4.3), which a
// YubiKey does not insist on. Its PUK may be as short as a PIN; others have eight bytes.
func pinForm(role pin.Role) card.PINForm {
	return card.PINForm{Least: leastPIN, Most: app.LongestPIN, Digits: role == pin.User}
}
