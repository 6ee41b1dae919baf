package cardsim

import (
	"bytes"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// FuzzMessages sends arbitrary messages as a virtual reader would: two bytes of
// length, then the message. The card answers commands and the question for its
// ATR, and nothing else.
func FuzzMessages(f *testing.F) {
	for _, seed := range []string{
		"\x00\x01\x01\x00\x01\x04\x00\x05\x00\xca\x00\x6e\x00", "\x00\x01\x00\x00\x01\x02\x00\x01\x09", "\x00\x00", "\xff\xff\x00", "\x00",
		"\x00\x0b\x00\xa4\x04\x00\x06\xd2\x76\x00\x01\x24\x01\x00\x05\x00\xca\x00\x6e\x00",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, stream []byte) {
		card, err := NewCard(Options{})
		if err != nil {
			t.Fatal(err)
		}
		defer card.Close()
		for r := bytes.NewReader(stream); ; {
			message, err := readMessage(r)
			if err != nil {
				return // the stream ends
			}
			if len(message) > 2 && message[1] == iso7816.InsGenerateKeyPair {
				continue // too slow
			}
			answer, err := card.message(t.Context(), message)
			if err != nil {
				t.Fatalf("%X: %v", message, err)
			}
			asks := len(message) != 1 || message[0] == vpcdATR
			if asks != (len(answer) >= 2) {
				t.Fatalf("%X: answer %X", message, answer)
			}
			var framed bytes.Buffer
			if answer != nil {
				if err := writeMessage(&framed, answer); err != nil {
					t.Fatal(err)
				}
				if again, err := readMessage(&framed); err != nil || !bytes.Equal(again, answer) {
					t.Fatalf("%X arrives as %X, %v", answer, again, err)
				}
			}
		}
	})
}
