package openpgp

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/iso7816"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// The PINs of an OpenPGP card. PW1 has two numbers for VERIFY, and is one PIN.
var passwords = map[app.PasswordRef]struct {
	role   pin.Role
	secret secret.Name
}{
	app.PW1Sign:       {pin.User, secret.PIN},
	app.PW1:           {pin.User, secret.PIN},
	app.PW3:           {pin.Admin, secret.AdminPIN},
	app.ResettingCode: {pin.ResetCode, secret.ResetCode},
}

// byAdminPIN unblocks the user PIN.
func byAdminPIN() advice.Advice {
	return advice.Do(advice.UnblockPIN, advice.Ask(secret.AdminPIN), advice.Ask(secret.NewPIN)).On(string(pin.User))
}

// described is a PIN without what the card tells of it.
func (c *onCard) described(ref app.PasswordRef) pin.PIN {
	p := passwords[ref]
	described := pin.PIN{
		Role: p.role, Secret: p.secret, Holder: c.holder(), Min: ref.MinLength(), Rescue: byAdminPIN(),
		Tries: func(ctx context.Context, again bool) (pin.Tries, error) { return c.tries(ctx, ref, again) },
	}
	if ref == app.PW3 {
		described.Rescue, described.Final = advice.Do(advice.ShowCard), pin.OnlyInitialising
	}
	return described
}

// tries are those of DO C4, which is in DO 6E.
func (c *onCard) tries(ctx context.Context, ref app.PasswordRef, again bool) (pin.Tries, error) {
	selected, err := c.application(ctx)
	if err != nil {
		return pin.Unknown(), err
	}
	var status app.PasswordStatus
	if again {
		if status, err = selected.PasswordStatus(ctx); unlessUnreadable(err) != nil {
			return pin.Unknown(), explain(err, "reading the tries left", "")
		}
	} else {
		data, err := c.related(ctx, selected)
		if err != nil {
			return pin.Unknown(), err
		}
		status = data.Passwords
	}
	told := status.Status(ref)
	if !told.Known {
		return pin.Unknown(), nil
	}
	return pin.Left(told.TriesLeft), nil
}

// pin is a PIN with the lengths that may be sent: of a card with a KDF, those of
// what a person types.
func (c *onCard) pin(ctx context.Context, ref app.PasswordRef) (pin.PIN, error) {
	selected, err := c.application(ctx)
	if err != nil {
		return pin.PIN{}, err
	}
	p := c.described(ref)
	if p.Derived, err = selected.DerivesPasswords(ctx); err != nil {
		return p, err
	}
	p.Max, err = selected.PasswordLimit(ctx, ref)
	return p, err
}

// PINs are shown with the lengths that the card tells.
func (c *onCard) PINs(ctx context.Context) ([]pin.PIN, error) {
	if c.seen.terminated {
		return nil, nil
	}
	_, data, err := c.data(ctx)
	if err != nil {
		return nil, explain(err, "reading the card", "")
	}
	var pins []pin.PIN
	for _, ref := range []app.PasswordRef{app.PW1, app.ResettingCode, app.PW3} {
		p, told := c.described(ref), data.Passwords.Status(ref)
		p.Max = told.MaxLength
		// A resetting code that was never set shows no tries, as a blocked one does.
		p.Unset = ref == app.ResettingCode && told.Known && told.TriesLeft == 0
		pins = append(pins, p)
	}
	return pins, nil
}

// unlock has a PIN verified, unless it is.
func (c *onCard) unlock(ctx context.Context, ref app.PasswordRef) error {
	selected, err := c.application(ctx)
	if err != nil || selected.Verified(ref) {
		return err
	}
	p, err := c.pin(ctx, ref)
	if err != nil {
		return err
	}
	return c.access.Policy.Send(ctx, p, c.verify(ref))
}

// verify is VERIFY of a PIN.
func (c *onCard) verify(ref app.PasswordRef) func(context.Context, *secret.Bytes) error {
	return func(ctx context.Context, value *secret.Bytes) error {
		selected, err := c.application(ctx)
		if err != nil {
			return err
		}
		return wrong(selected.Verify(ctx, ref, value))
	}
}

// wrong tells the policy for PINs what the card said of one.
func wrong(err error) error {
	var password *app.PasswordError
	if errors.As(err, &password) {
		return &pin.WrongError{Left: pin.Left(password.TriesLeft), Cause: password.Cause}
	}
	return err
}

// SetPIN changes a PIN, or sets the resetting code by the admin PIN. CHANGE
// REFERENCE DATA has the old PIN and the new one without a mark between them
// (7.2.3): the old one is verified first, or one that is too long would make
// another PIN of the new one.
func (c *onCard) SetPIN(ctx context.Context, role pin.Role) (pin.Change, error) {
	switch role {
	case pin.User:
		return c.change(ctx, app.PW1)
	case pin.Admin:
		return c.change(ctx, app.PW3)
	case pin.ResetCode:
		return c.byAdmin(ctx, app.ResettingCode, (*app.Card).PutResettingCode)
	}
	return pin.Change{}, problem.New(problem.NotSupported, "an OpenPGP card has no such PIN").
		Because("Valid names: user, admin, reset-code.")
}

func (c *onCard) change(ctx context.Context, ref app.PasswordRef) (pin.Change, error) {
	p, err := c.pinToChange(ctx, ref)
	if err != nil {
		return pin.Change{}, err
	}
	return pin.Change{By: p, New: p, Open: c.verify(ref), Set: c.replace(ref)}, nil
}

// replace is CHANGE REFERENCE DATA of a PIN.
func (c *onCard) replace(ref app.PasswordRef) func(ctx context.Context, old, replacement *secret.Bytes) error {
	return func(ctx context.Context, old, replacement *secret.Bytes) error {
		selected, err := c.application(ctx)
		if err != nil {
			return err
		}
		return wrong(selected.ChangeReferenceData(ctx, ref, old, replacement))
	}
}

// pinToChange is a PIN of a change, which begins with reading the card.
func (c *onCard) pinToChange(ctx context.Context, ref app.PasswordRef) (pin.PIN, error) {
	p, err := c.pin(ctx, ref)
	return p, explain(err, "reading the card", "")
}

// byAdmin sets a PIN when the admin PIN is verified.
func (c *onCard) byAdmin(ctx context.Context, ref app.PasswordRef, set func(*app.Card, context.Context, *secret.Bytes) error) (pin.Change, error) {
	admin, err := c.pinToChange(ctx, app.PW3)
	if err != nil {
		return pin.Change{}, err
	}
	p, err := c.pinToChange(ctx, ref)
	if err != nil {
		return pin.Change{}, err
	}
	return pin.Change{By: admin, New: p, Open: c.verify(app.PW3), Set: func(ctx context.Context, _, replacement *secret.Bytes) error {
		selected, err := c.application(ctx)
		if err != nil {
			return err
		}
		return set(selected, ctx, replacement)
	}}, nil
}

// UnblockedBy are the two ways to a new user PIN.
func (c *onCard) UnblockedBy() []secret.Name { return []secret.Name{secret.AdminPIN, secret.ResetCode} }

// UnblockPIN gives the user PIN its tries back and a new value. Nothing stands
// between resetting code and new PIN (7.2.4), and no command verifies the code
// alone: the new PIN is proved afterwards.
func (c *onCard) UnblockPIN(ctx context.Context, role pin.Role, by secret.Name) (pin.Change, error) {
	switch {
	case role == pin.User && (by == secret.AdminPIN || by == ""):
		return c.byAdmin(ctx, app.PW1, (*app.Card).ResetRetryCounter)
	case role != pin.User || by != secret.ResetCode:
		return pin.Change{}, problem.New(problem.NotSupported, "an OpenPGP card cannot do that").
			Because("Only the user PIN can be unblocked, with the admin PIN or the resetting code. If the admin PIN is blocked, the card has to be initialised again, and its keys are lost.").
			Advise(byAdminPIN())
	}
	code, err := c.pinToChange(ctx, app.ResettingCode)
	if err != nil {
		return pin.Change{}, err
	}
	user, err := c.pinToChange(ctx, app.PW1)
	if err != nil {
		return pin.Change{}, err
	}
	return pin.Change{By: code, New: user, Prove: c.verify(app.PW1), Set: func(ctx context.Context, code, replacement *secret.Bytes) error {
		selected, err := c.application(ctx)
		if err != nil {
			return err
		}
		return wrong(selected.ResetRetryCounterByCode(ctx, code, replacement))
	}}, nil
}

// unexpected reports an answer after which the card may have done what it was
// told.
func unexpected(err error) bool { return iso7816.StatusOf(err) != 0 && !iso7816.Refused(err) }

// pinForm has the least lengths of the specification (4.3); DO C4 has the greatest ones.
func pinForm(role pin.Role) card.PINForm {
	if role == pin.User {
		return card.PINForm{Least: app.PW1.MinLength()}
	}
	return card.PINForm{Least: app.PW3.MinLength()}
}
