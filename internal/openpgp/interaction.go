package openpgp

import "context"

// InteractionFlag is the first byte of a user interaction flag (4.4.3.6).
type InteractionFlag byte

// The flags. Cards that keep a touch for some seconds have the last two, which the
// specification does not.
const (
	InteractionOff InteractionFlag = iota
	InteractionOn
	InteractionPermanent
	InteractionCached
	InteractionPermanentCached
)

// Interaction is a user interaction flag, DO D6 to D8: 2 bytes.
type Interaction struct {
	Flag InteractionFlag
	// Features is what the card has for it, as in DO 7F74.
	Features byte
}

// button is the feature that everybody has who has any.
const button = 0x20

// parseInteraction reads a flag; nil where the card has none.
func parseInteraction(value []byte) *Interaction {
	switch len(value) {
	case 0:
		return nil
	case 1:
		return &Interaction{InteractionFlag(value[0]), button}
	}
	return &Interaction{InteractionFlag(value[0]), value[1]}
}

// Interaction is the flag of a key, and nil where the card has none. Cards before
// version 3 that have one do not show it in DO 6E.
func (c *Card) Interaction(ctx context.Context, slot Slot) (*Interaction, error) {
	data, err := c.ApplicationRelatedData(ctx)
	if err != nil {
		return nil, err
	}
	if told := data.Key(slot); told.Interaction == nil {
		value, err := c.optional(ctx, slot.interactionTag())
		if err != nil {
			return nil, err
		}
		told.Interaction = parseInteraction(template(value, slot.interactionTag()))
	}
	return data.Key(slot).Interaction, nil
}

// Touch reports whether somebody has to press a button.
func (i *Interaction) Touch() bool { return i != nil && i.Flag != InteractionOff }

// PutInteraction writes the flag of a key, after PW3 was verified.
func (c *Card) PutInteraction(ctx context.Context, slot Slot, i Interaction) error {
	return c.PutData(ctx, slot.interactionTag(), []byte{byte(i.Flag), i.Features})
}
