package openpgp

import (
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// AlgorithmInformation reads DO FA (4.4.3.11): every set of attributes that a
// slot can take, as far as the answer can be read. A card before version 3.4 has none.
func (c *Card) AlgorithmInformation(ctx context.Context) (map[Slot][]Attributes, error) {
	raw, err := c.GetData(ctx, 0xFA)
	if err != nil {
		return nil, err
	}
	able := map[Slot][]Attributes{}
	for rest := template(raw, 0xFA); len(rest) > 0; {
		var object iso7816.TLV
		if object, rest, err = iso7816.ParseTLV(rest); err != nil {
			break // what came before it counts
		}
		for _, slot := range Slots() {
			if object.Tag != slot.attributesTag() {
				continue
			}
			if a, err := ParseAttributes(object.Value); err == nil {
				able[slot] = append(able[slot], a)
			}
		}
	}
	return able, nil
}

// PutAttributes writes the algorithm attributes of a slot (4.4.3.9). A key of
// another algorithm that is in the slot is lost.
func (c *Card) PutAttributes(ctx context.Context, slot Slot, a Attributes) error {
	err := c.PutData(ctx, slot.attributesTag(), a)
	if err == nil && c.data != nil {
		c.data.Key(slot).Attributes = a
	}
	return err
}
