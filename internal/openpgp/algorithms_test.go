package openpgp

import (
	"context"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

type says []byte

func (s says) Transmit(context.Context, []byte) ([]byte, error) {
	return append(append([]byte{}, s...), 0x90, 0x00), nil
}

// TestAlgorithmInformationThatIsCut: what came before the cut counts, and what is not
// understood hides nothing.
func TestAlgorithmInformationThatIsCut(t *testing.T) {
	p256 := []byte{0xC3, 0x09, 0x13, 0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07}
	for name, raw := range map[string][]byte{
		"whole":   p256,
		"cut":     append(append([]byte{}, p256...), 0xC3, 0x20, 0x01),
		"unknown": append([]byte{0xDA, 0x01, 0x00, 0xC1, 0x00}, p256...),
	} {
		c := &Card{ch: iso7816.NewChannel(says(raw), iso7816.Capabilities{}), verified: map[PasswordRef]bool{}}
		able, err := c.AlgorithmInformation(t.Context())
		if err != nil || len(able[Authentication]) != 1 || able[Authentication][0].Name() != "p256" {
			t.Errorf("%s: %v, %v", name, able, err)
		}
	}
}
