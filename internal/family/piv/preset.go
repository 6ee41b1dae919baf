package piv

import (
	"context"

	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/secret"
)

// Unused reports whether the card has no CHUID, and PIN, PUK and management key are those
// of the factory by its own account. A card that does not tell is taken for a used one.
func (c *onCard) Unused(ctx context.Context) (bool, error) {
	selected, err := c.application(ctx)
	if err != nil {
		return false, explain(err, "reading the card", "")
	}
	chuid, err := selected.GetData(ctx, app.CHUID)
	if err != nil && !app.Unanswered(err) {
		return false, explain(err, "reading the card", "")
	}
	if err != nil || chuid != nil {
		return false, nil
	}
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

// HasPreset is told by metadata, which YubiKeys have since firmware 5.3.
func (c *onCard) HasPreset(ctx context.Context, name secret.Name) (has, told bool, err error) {
	reference, known := map[secret.Name]byte{
		secret.PIN: byte(app.ApplicationPIN), secret.PUK: byte(app.PUK), secret.ManagementKey: app.ManagementKey,
	}[name]
	if !known {
		return false, false, nil
	}
	m, err := c.about(ctx, reference)
	if app.Unanswered(err) {
		return false, false, nil
	}
	if err != nil || m.IsDefault == nil {
		return false, false, explain(err, "reading the card", "")
	}
	return *m.IsDefault, true, nil
}
