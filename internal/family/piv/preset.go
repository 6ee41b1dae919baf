package piv

import (
	"context"

	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/secret"
)

// Unused reports whether PIN, PUK and management key are those of the factory by the
// card's own account. A card that does not tell is taken for a used one.
func (c *onCard) Unused(ctx context.Context) (bool, error) {
	unused, err := c.factoryOnly(ctx)
	return unused, explain(err, "reading the card", "")
}

// Incomplete is true: a new card has no CHUID, by which programs know it (SP 800-73-4,
// part 1, 3.1.2).
func (c *onCard) Incomplete() bool { return true }

// Preset are the values of a YubiKey that was reset.
func (c *onCard) Preset(name secret.Name) *secret.Bytes {
	switch name {
	case secret.PIN:
		return secret.New([]byte(app.FactoryPIN))
	case secret.PUK:
		return secret.New([]byte(app.FactoryPUK))
	case secret.ManagementKey:
		return secret.New([]byte(factoryKey))
	}
	return nil
}
