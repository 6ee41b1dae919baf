package piv

import (
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// History is the key history object (part 1, 3.3.3): programs look for retired keys only
// as far as it says.
type History struct {
	// OnCard is how many retired slots, from the first, have certificates on the card;
	// OffCard how many have theirs elsewhere, at URL.
	OnCard, OffCard byte
	URL             []byte
}

// ParseHistory reads the content of a key history object. Parts that are missing are
// zero.
func ParseHistory(object []byte) (History, error) {
	const tagOnCard, tagOffCard, tagURL = 0xC1, 0xC2, 0xF3
	var h History
	parts, err := iso7816.ParseTLVs(object)
	if err != nil {
		return h, fmt.Errorf("%w: key history: %v", ErrMalformed, err)
	}
	for _, p := range parts {
		switch {
		case p.Tag == tagOnCard && len(p.Value) == 1:
			h.OnCard = p.Value[0]
		case p.Tag == tagOffCard && len(p.Value) == 1:
			h.OffCard = p.Value[0]
		case p.Tag == tagURL:
			h.URL = p.Value
		}
	}
	return h, nil
}

// Object is the content of the object (part 1, table 12).
func (h History) Object() []byte {
	const tagOnCard, tagOffCard, tagURL, tagCode = 0xC1, 0xC2, 0xF3, 0xFE
	object := iso7816.AppendTLV(nil, tagOnCard, []byte{h.OnCard})
	object = iso7816.AppendTLV(object, tagOffCard, []byte{h.OffCard})
	if h.OffCard > 0 {
		object = iso7816.AppendTLV(object, tagURL, h.URL)
	}
	return iso7816.AppendTLV(object, tagCode)
}

// Position of a retired slot, from 1; 0 for another.
func (s Slot) Position() int {
	if !s.Retired() {
		return 0
	}
	return int(s-firstRetired) + 1
}

// RetiredAt is the retired slot at a position.
func RetiredAt(position int) Slot { return firstRetired + Slot(position-1) }

// RetiredPlaces are the slots for retired keys.
func RetiredPlaces() []Slot {
	return slices.DeleteFunc(Slots(), func(s Slot) bool { return !s.Retired() })
}

// RetiredSlots is how many there are.
const RetiredSlots = int(lastRetired-firstRetired) + 1
