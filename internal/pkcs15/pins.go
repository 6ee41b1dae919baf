package pkcs15

import (
	"context"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// PINFor is PINOf with the tries that are left.
func (c *Card) PINFor(ctx context.Context, id []byte, toWrite bool) (PIN, error) {
	own, err := c.PINOf(ctx, id, toWrite)
	if err == nil {
		own.TriesLeft, err = c.Tries(ctx, own)
	}
	return own, err
}

// PINOf is the PIN that a key asks for, or, toWrite, the one with which
// certificates are written beside it.
func (c *Card) PINOf(ctx context.Context, id []byte, toWrite bool) (PIN, error) {
	k, err := c.Key(ctx, id)
	if err != nil {
		return PIN{}, err
	}
	d, err := c.PINs(ctx)
	if err != nil {
		return PIN{}, err
	}
	p := d.UserPIN()
	if p == nil {
		return PIN{}, problem.New(problem.NotSupported, "the card has no user PIN")
	}
	own := *p // also of a key that is still to be made
	switch facts := c.driver.facts(); {
	case toWrite && facts.userPINWrites:
		if writer := find(d.PINs, func(p *PIN) bool { return p.Reference == facts.pin.Reference }); writer != nil {
			own = *writer
		}
	case k != nil:
		var certain bool
		if own, certain = pinOf(d.PINs, k); !certain {
			return PIN{}, problem.New(problem.NotSupported, "the card does not report which of its PINs the key needs").
				Because("The key names the unknown PIN %q, and a wrong guess would use up a try.", k.AuthID).
				Advise(advice.Run("pkcs15-tool", "--dump"))
		}
	}
	return own, nil
}

// pinOf is the PIN that a key is protected by: the one that its entry names, or
// the only user PIN. k is nil where there is no key.
func pinOf(pins []PIN, k *PrivateKey) (PIN, bool) {
	var users []PIN
	for _, p := range pins {
		if p.Unblocking {
			continue
		}
		if k != nil && strings.EqualFold(p.ID, k.AuthID) {
			return p, true
		}
		if !p.SO {
			users = append(users, p)
		}
	}
	if len(users) != 1 {
		return PIN{}, false
	}
	return users[0], true
}

// Tries is how many tries a PIN has left; -1 where the card does not tell. A
// native card is asked; of another card the directory tells, as it was read.
func (c *Card) Tries(ctx context.Context, p PIN) (int, error) {
	tries, err := c.driver.tries(ctx, p)
	return tries, c.explain(err, "reading the tries left")
}

// ChangePIN changes the value of a PIN.
func (c *Card) ChangePIN(ctx context.Context, p PIN, old, replacement *secret.Bytes) error {
	defer c.Forget()
	return c.driver.changePIN(ctx, p, old, replacement)
}

// UnblockPIN gives a PIN its tries back, and a new value. byPUK is the PIN's
// PUK.
func (c *Card) UnblockPIN(ctx context.Context, p, byPUK PIN, puk, replacement *secret.Bytes) error {
	defer c.Forget()
	return c.driver.unblockPIN(ctx, p, byPUK, puk, replacement)
}

// PUK is what unblocks a PIN: lengths in bytes, 0 where they are not known; how
// many tries it has left as far as the card tells.
func (c *Card) PUK(ctx context.Context, p PIN) (PIN, error) {
	puk, err := c.driver.puk(ctx, p)
	return puk, c.explain(err, "reading the tries left")
}

// FirstPIN is the user PIN of a card that has none yet: lengths in bytes, as far
// as they are known.
func (c *Card) FirstPIN() PIN { return c.driver.facts().pin }

// FirstPUK is the PUK of a card that has none yet.
func (c *Card) FirstPUK() PIN { return c.driver.facts().puk }

// FirstSOPIN is the SO PIN of a card that has none yet.
func (c *Card) FirstSOPIN() PIN { return c.driver.facts().soPIN }

// NeedsPUK reports whether the card takes no PIN without a PUK.
func (c *Card) NeedsPUK() bool { return c.driver.facts().needsPUK }

// refused is the error of a PIN that the card did not take; nil for any other
// answer.
func refused(p PIN, err error) error {
	status := iso7816.StatusOf(err)
	left, counted := status.TriesLeft()
	if !counted && status != iso7816.StatusPINBlocked {
		return nil
	}
	p.TriesLeft = left
	return wrongPIN(p, err)
}

// WayOut is what to do where the PIN is blocked, Final what that costs, where
// nothing unblocks it.
func (p PIN) WayOut() advice.Advice {
	unblock := advice.Do(advice.UnblockPIN, advice.Ask(secret.PUK), advice.Ask(secret.NewPIN))
	switch {
	case p.further:
		return advice.Run("pkcs15-tool", "--unblock-pin", "--auth-id", p.ID)
	case p.Unblocking:
		return advice.Do(advice.ShowCard)
	case p.SO:
		return unblock.On("so")
	}
	return unblock.On("user")
}

func (p PIN) Final() string {
	if p.Unblocking {
		return "Only initialising the card again sets a new PUK, and its keys are lost."
	}
	return ""
}
