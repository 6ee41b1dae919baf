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

// TestAFileWithoutALength has control information that does not say how long a file is:
// it is read to its end, whichever way the card shows that.
func TestAFileWithoutALength(t *testing.T) {
	stored := bytes.Repeat([]byte{0x30}, 300)
	for name, end := range map[string][]byte{"wrong offset": {0x6B, 0x00}, "end of file": {0x62, 0x82}, "nothing": {0x90, 0x00}} {
		for _, fci := range [][]byte{{0x6F, 0x02, 0x83, 0x00}, {0x6F, 0x7F}, nil} {
			card := answers(func(command []byte) []byte {
				if command[1] == iso7816.InsSelect {
					return append(bytes.Clone(fci), 0x90, 0x00)
				}
				at := int(command[2])<<8 | int(command[3])
				if at >= len(stored) {
					return end
				}
				return append(bytes.Clone(stored[at:min(at+256, len(stored))]), 0x90, 0x00)
			})
			a := &files{ch: iso7816.NewChannel(card, iso7816.Capabilities{})}
			if content, err := a.file(t.Context(), path(fileApplication, fileODF)); err != nil || !bytes.Equal(content, stored) {
				t.Errorf("%s, %X: %d bytes, %v", name, fci, len(content), err)
			}
		}
	}
}
