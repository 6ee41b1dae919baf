package pkcs15

import (
	"context"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// PINs are those of the card, as its directory has them.
func (c *Card) PINs(ctx context.Context) ([]pin.PIN, error) {
	d, err := c.read(ctx)
	if err != nil || d == nil {
		return nil, err
	}
	var pins []pin.PIN
	for _, p := range d.PINs {
		pins = append(pins, c.pin(p))
	}
	return pins, nil
}

// pin is a PIN of the card for the policy.
func (c *Card) pin(p app.PIN) pin.PIN {
	role, label, _ := strings.Cut(p.Role(), "-")
	return pin.PIN{
		Role: pin.Role(role), Label: label, Secret: secretOf(pin.Role(role)), Holder: c.holder(),
		Min: p.Min, Max: p.Max, Rescue: p.WayOut(), Final: p.Final(),
		Tries: func(ctx context.Context, again bool) (pin.Tries, error) {
			if again {
				c.app.Forget()
			}
			left, err := c.app.Tries(ctx, p)
			if err != nil {
				return pin.Unknown(), err
			}
			return pin.OfNumber(left), nil
		},
	}
}

// counted is a PIN whose tries were just read: they are good as long as the card is
// held.
func (c *Card) counted(ctx context.Context, p app.PIN) (pin.PIN, error) {
	held, err := c.line.Channel(ctx)
	if err != nil {
		return pin.PIN{}, err
	}
	own := c.pin(p)
	ask := own.Tries
	own.Tries = func(ctx context.Context, again bool) (pin.Tries, error) {
		if now, err := c.line.Channel(ctx); again || now != held {
			return ask(ctx, again && err == nil)
		}
		return pin.OfNumber(p.TriesLeft), nil
	}
	return own, nil
}

// fresh is a PIN that the card does not have yet: nothing is counted.
func (c *Card) fresh(p app.PIN) pin.PIN {
	own := c.pin(p)
	own.Tries = nil
	return own
}

func secretOf(role pin.Role) secret.Name {
	switch role {
	case pin.SO:
		return secret.SOPIN
	case pin.PUK:
		return secret.PUK
	}
	return secret.PIN
}

// SetPIN changes a PIN: user, so or puk, as far as the card has it.
func (c *Card) SetPIN(ctx context.Context, role pin.Role) (pin.Change, error) {
	p, err := c.find(ctx, role)
	if err != nil {
		return pin.Change{}, err
	}
	return pin.Change{
		By: c.pin(p), New: c.fresh(p),
		Set: func(ctx context.Context, old, replacement *secret.Bytes) error {
			return c.app.ChangePIN(ctx, p, old, replacement)
		},
	}, nil
}

// UnblockedBy is the PUK.
func (c *Card) UnblockedBy() []secret.Name { return []secret.Name{secret.PUK} }

// UnblockPIN gives the user PIN or the SO PIN its tries back and a new value, by
// its PUK.
func (c *Card) UnblockPIN(ctx context.Context, role pin.Role, by secret.Name) (pin.Change, error) {
	if role != pin.User && role != pin.SO || by != secret.PUK {
		return pin.Change{}, problem.New(problem.NotSupported, "a PKCS#15 card cannot do that").
			Because("Only the user PIN and the SO PIN can be unblocked, with the PUK.").
			Advise(advice.Do(advice.UnblockPIN, advice.Ask(secret.PUK), advice.Ask(secret.NewPIN)).On(string(pin.User)))
	}
	p, err := c.find(ctx, role)
	if err != nil {
		return pin.Change{}, err
	}
	puk, err := c.app.PUK(ctx, p)
	if err != nil {
		return pin.Change{}, err
	}
	opens := c.pin(puk)
	opens.Tries = func(ctx context.Context, _ bool) (pin.Tries, error) {
		now, err := c.app.PUK(ctx, p)
		if err != nil {
			return pin.Unknown(), err
		}
		return pin.OfNumber(now.TriesLeft), nil
	}
	return pin.Change{
		By: opens, New: c.fresh(p),
		Set: func(ctx context.Context, code, replacement *secret.Bytes) error {
			return c.app.UnblockPIN(ctx, p, puk, code, replacement)
		},
	}, nil
}

// find is the PIN of a role.
func (c *Card) find(ctx context.Context, role pin.Role) (app.PIN, error) {
	d, err := c.app.Token(ctx)
	if err != nil {
		return app.PIN{}, err
	}
	c.identity.Serial = d.Serial
	var found *app.PIN
	switch role {
	case pin.User:
		found = d.UserPIN()
	case pin.SO:
		found = d.SOPIN()
	case pin.PUK:
		found = d.PUK()
	}
	if found != nil {
		return *found, nil
	}
	missing := problem.New(problem.NotSupported, "this card has no %s that can be changed", role.Name())
	if role == pin.PUK {
		missing = problem.New(problem.NotSupported, "the PUK of this card cannot be changed")
	}
	switch {
	case c.app.OnePIN():
		missing.Because("The card has a single PIN, user. Its PUK was set at initialisation and cannot be changed.")
	case role == pin.PUK:
		missing.Because("Only initialising the card again sets a new PUK, and its keys are lost.")
	}
	return app.PIN{}, missing
}
