package applet

import (
	"errors"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

func TestDescribeDomain(t *testing.T) {
	card := newFakeCard(t)
	d, err := DescribeDomain(t.Context(), card.access("", t.TempDir()))
	if err != nil || d.KnownKeys != KeysOfFactory || len(d.Keys) != 1 || d.Keys[0] != (KeyInfo{255, 1, "DES 128 bit"}) ||
		d.Memory == nil || d.Memory.NonVolatile != card.memory || len(d.Production) != 18 {
		t.Errorf("%+v, %v", d, err)
	}
	card.refuse[0xCA] = 0x6A88
	if d, err = DescribeDomain(t.Context(), card.access("", "")); err != nil || d.KnownKeys != KeysNotKnown || d.Memory != nil || d.Production != nil {
		t.Errorf("a card that tells nothing: %+v, %v", d, err)
	}
	for n := range 5 {
		card := newFakeCard(t)
		card.pulled = n
		if _, err = DescribeDomain(t.Context(), card.access("", "")); !errors.Is(err, iso7816.ErrCardRemoved) || !problem.Is(err, problem.CardRemoved) {
			t.Errorf("pulled after %d: %v", n, err)
		}
	}
}
