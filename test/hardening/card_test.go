//go:build cgo && linux && stack

package hardening

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/test/stack"
)

const (
	mostOfACard    = 64 << 20 // bytes resident
	longestOfACard = 20 * time.Second
)

// hostileCards are what a card in a reader answers to its n-th command.
var hostileCards = map[string]func(n int, apdu []byte) []byte{
	"yes":            func(int, []byte) []byte { return []byte{0x90, 0x00} },
	"the command":    func(_ int, apdu []byte) []byte { return append(bytes.Clone(apdu), 0x90, 0x00) },
	"61FF for ever":  func(int, []byte) []byte { return append(bytes.Repeat([]byte{0x5A}, 255), 0x61, 0xFF) },
	"6CFF for ever":  func(int, []byte) []byte { return []byte{0x6C, 0xFF} },
	"endless length": func(int, []byte) []byte { return []byte{0x6E, 0x84, 0x7F, 0xFF, 0xFF, 0xFF, 0x4F, 0x00, 0x90, 0x00} },
	"64 kB": func(int, []byte) []byte {
		return append(bytes.Repeat([]byte{0x7F, 0x49, 0x82, 0xFF}, 0x3FFE), 0x90, 0x00)
	},
}

// TestHostileCardInAReader puts cards that mean ill into a reader: no command
// crashes, outlasts its --timeout, grows, or leaves without a word.
func TestHostileCardInAReader(t *testing.T) {
	for name, answer := range hostileCards {
		t.Run(name, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Setenv("CARDCTL_READER", stack.ReaderName(1))
			d.Setenv("CARDCTL_PIN", canaryPIN)
			d.Setenv("CARDCTL_ADMIN_PIN", canaryAdmin)
			d.Setenv("CARDCTL_PUK", canaryPUK)
			seen := func() bool { return strings.Contains(d.Run("opensc-tool", "--list-readers"), "Yes") }
			t.Cleanup(func() { d.Eventually("the card is gone", func() bool { return !seen() }) })
			asked := putHostileCard(t, answer)
			d.Eventually("the card is seen", seen)
			for _, line := range []string{
				"list-readers", "info", "init --yes", "gen-key -k OPENPGP.3", "export-cert -k PKCS15.45", "applet list --card-keys default", "doctor",
			} {
				start := time.Now()
				r, usage := d.TryMeasured("cardctl", append(strings.Fields(line), "--timeout", "1s")...)
				switch took := time.Since(start); {
				case r.Exit < 0 || r.Exit > 10 || r.Exit == 2, r.Exit != 0 && !strings.Contains(r.Stderr, "\nTry: "):
					t.Errorf("%v", r)
				case usage.PeakMemory > mostOfACard:
					t.Errorf("%s: %d MB", line, usage.PeakMemory>>20)
				case took > longestOfACard:
					t.Errorf("%s: took %v", line, took)
				case strings.Contains(r.Stdout+r.Stderr, "goroutine ") || strings.Contains(r.Stdout+r.Stderr, "Kanarie"):
					t.Errorf("%v", r)
				}
			}
			if n := asked.Load(); n < 10 {
				t.Errorf("the card was only asked %d times", n)
			}
		})
	}
}

// liar answers in the place of a card.
type liar struct {
	answer func(int, []byte) []byte
	asked  *atomic.Int64
}

func (l liar) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	said := l.answer(int(l.asked.Add(1)), apdu)
	return said[:min(len(said), 0xFFFF)], nil
}

// putHostileCard puts a card into virtual reader 1 until the test ends. It counts
// the commands that it gets.
func putHostileCard(t *testing.T, answer func(int, []byte) []byte) *atomic.Int64 {
	t.Helper()
	card, err := cardsim.NewCard(cardsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	asked, ended := new(atomic.Int64), make(chan struct{})
	card.Tap(func(iso7816.Transmitter) iso7816.Transmitter { return liar{answer, asked} })
	ctx, pull := context.WithCancel(context.Background())
	t.Cleanup(func() {
		pull()
		<-ended
	})
	go func() {
		defer close(ended)
		// The reader may still be busy with the card before.
		for errors.Is(card.Attach(ctx, "localhost:35964", nil), cardsim.ErrReaderOccupied) {
		}
	}()
	return asked
}
