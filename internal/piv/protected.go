package piv

import (
	"context"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

// Tags by which ykman keeps a management key on the card: its own data in
// Administration, the key in Printed.
const (
	tagAdministration = 0x80
	tagFlags          = 0x81
	tagSalt           = 0x82

	tagProtected   = 0x88
	tagStoredKey   = 0x89
	tagUpcomingKey = 0x8A // cardctl's, while the key is changed

	flagProtected = 0x02
)

// StoredKeys are management keys that a card keeps in Printed. Upcoming is one that a
// change was interrupted at: the card may have it already.
type StoredKeys struct{ Current, Upcoming *secret.Bytes }

// Wipe wipes both.
func (s StoredKeys) Wipe() {
	s.Current.Wipe()
	s.Upcoming.Wipe()
}

// ReadStoredKeys reads them, after Verify. Both are nil where none is stored.
func (c *Card) ReadStoredKeys(ctx context.Context) (StoredKeys, error) {
	content, err := c.GetData(ctx, Printed)
	defer secret.Wipe(content)
	if err != nil || content == nil {
		return StoredKeys{}, err
	}
	return parseStoredKeys(content), nil
}

func parseStoredKeys(content []byte) StoredKeys {
	var keys StoredKeys
	for tag, to := range map[iso7816.Tag]**secret.Bytes{tagStoredKey: &keys.Current, tagUpcomingKey: &keys.Upcoming} {
		value, ok := iso7816.FindTLV(content, tagProtected, tag)
		if ok && len(ManagementAlgorithms(len(value))) > 0 {
			*to = secret.New(append([]byte(nil), value...))
		}
	}
	return keys
}

// WriteStoredKeys writes them over the printed information, after Manage. Without
// either it is empty, as ykman leaves it.
func (c *Card) WriteStoredKeys(ctx context.Context, keys StoredKeys) error {
	const longest = 96 // so that nothing is copied while it grows
	inner, content := make([]byte, 0, longest), make([]byte, 0, longest)
	if keys.Current != nil {
		inner = iso7816.AppendTLV(inner, tagStoredKey, keys.Current.Reveal())
	}
	if keys.Upcoming != nil {
		inner = iso7816.AppendTLV(inner, tagUpcomingKey, keys.Upcoming.Reveal())
	}
	content = iso7816.AppendTLV(content, tagProtected, inner)
	defer secret.Wipe(inner)
	defer secret.Wipe(content)
	return c.PutData(ctx, Printed, content)
}

// Protection is what Administration says of the management key.
type Protection struct {
	// Stored says that it is in Printed, Derived that it was computed from the PIN.
	Stored, Derived bool
	content         []iso7816.TLV
}

// ReadProtection reads it; the zero Protection where the card has none.
func (c *Card) ReadProtection(ctx context.Context) (Protection, error) {
	object, err := c.GetData(ctx, Administration)
	if err != nil || object == nil {
		return Protection{}, err
	}
	return parseProtection(object)
}

func parseProtection(object []byte) (Protection, error) {
	inner, ok := iso7816.FindTLV(object, tagAdministration)
	parts, err := iso7816.ParseTLVs(inner)
	if !ok || err != nil {
		return Protection{}, fmt.Errorf("%w: administrative data", ErrMalformed)
	}
	p := Protection{content: parts}
	for _, part := range parts {
		p.Stored = p.Stored || part.Tag == tagFlags && len(part.Value) == 1 && part.Value[0]&flagProtected != 0
		p.Derived = p.Derived || part.Tag == tagSalt
	}
	return p, nil
}

// WriteProtection writes, after Manage, that the management key is stored or is not, and
// that it is not derived; everything else stays.
func (c *Card) WriteProtection(ctx context.Context, p Protection, stored bool) error {
	return c.PutData(ctx, Administration, p.object(stored))
}

func (p Protection) object(stored bool) []byte {
	flags := byte(0)
	var rest []byte
	for _, part := range p.content {
		switch {
		case part.Tag == tagFlags && len(part.Value) == 1:
			flags = part.Value[0] &^ flagProtected
		case part.Tag != tagFlags && part.Tag != tagSalt:
			rest = iso7816.AppendTLV(rest, part.Tag, part.Value)
		}
	}
	if stored {
		flags |= flagProtected
	}
	inner := append(iso7816.AppendTLV(nil, tagFlags, []byte{flags}), rest...)
	return iso7816.AppendTLV(nil, tagAdministration, inner)
}

// HoldsStoredKeys reports whether printed information is what ykman makes of it.
func HoldsStoredKeys(printed []byte) bool {
	_, ok := iso7816.FindTLV(printed, tagProtected)
	return ok
}
