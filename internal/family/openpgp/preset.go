package openpgp

import (
	"context"
	"slices"

	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/secret"
)

// Unused reports whether DO 6E tells of no key, no resetting code, and no PIN that was
// entered wrongly. That a PIN was changed it does not tell.
func (c *onCard) Unused(ctx context.Context) (bool, error) {
	if c.seen.terminated {
		return false, nil
	}
	_, data, err := c.data(ctx)
	if err != nil {
		return false, explain(err, "reading the card", "")
	}
	slots := app.Slots()
	used := slices.ContainsFunc(slots[:], func(slot app.Slot) bool { return holdsKey(data.Key(slot)) })
	p := &data.Passwords
	return !used && p.RC.TriesLeft == 0 && p.PW1.TriesLeft >= factoryTries && p.PW3.TriesLeft >= factoryTries, nil
}

// Incomplete is false: a new card lacks nothing.
func (c *onCard) Incomplete() bool { return false }

// Preset are the PINs of an erased card.
func (c *onCard) Preset(name secret.Name) *secret.Bytes {
	switch name {
	case secret.PIN:
		return secret.New([]byte(factoryUserPIN))
	case secret.AdminPIN:
		return secret.New([]byte(factoryAdminPIN))
	}
	return nil
}

// HasPreset is not told: the card would have to be sent the PIN.
func (c *onCard) HasPreset(context.Context, secret.Name) (has, told bool, err error) {
	return false, false, nil
}
