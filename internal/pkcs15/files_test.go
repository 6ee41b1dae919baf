package pkcs15

import (
	"bytes"
	"context"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// answers is a card that answers by itself alone.
type answers func(command []byte) []byte

func (a answers) Transmit(_ context.Context, command []byte) ([]byte, error) { return a(command), nil }

// TestAnEmptyAnswerToALongRead has a card that says 9000 and nothing where Le is
// extended and the greatest.
func TestAnEmptyAnswerToALongRead(t *testing.T) {
	for name, stored := range map[string][]byte{"a file": bytes.Repeat([]byte{0x30}, 99), "an empty file": nil} {
		sent := 0
		card := answers(func(command []byte) []byte {
			sent++
			if len(command) > 5 {
				return []byte{0x90, 0x00}
			}
			return append(bytes.Clone(stored), 0x90, 0x00)
		})
		a := &files{ch: iso7816.NewChannel(card, iso7816.Capabilities{ExtendedLength: true})}
		content, err := a.read(t.Context(), 0, iso7816.MaxExtendedNe, nil)
		if err != nil || !bytes.Equal(content, stored) || sent != 2 {
			t.Errorf("%s: %d bytes, %v, %d commands", name, len(content), err, sent)
		}
	}
}
