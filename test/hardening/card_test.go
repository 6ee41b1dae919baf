//go:build cgo && linux && stack

package hardening

import (
	"bytes"
	"context"
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

	canaryKey = "CA9A817E5A17C0DE904C1B7782D3E6F0A1B2C3D4E5F60718" // a management key
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

// asPIV answers SELECT of PIV as a YubiKey does, and then means ill.
func asPIV(answer func(n int, apdu []byte) []byte) func(n int, apdu []byte) []byte {
	selectPIV := []byte{0x00, iso7816.InsSelect, 0x04, 0x00, 0x09, 0xA0, 0x00, 0x00, 0x03, 0x08}
	named := []byte("\x61\x11\x4F\x06\x00\x00\x10\x00\x01\x00\x79\x07\x4F\x05\xA0\x00\x00\x03\x08\x90\x00")
	return func(n int, apdu []byte) []byte {
		if bytes.HasPrefix(apdu, selectPIV) {
			return bytes.Clone(named)
		}
		return answer(n, apdu)
	}
}

// hostileKinds are the kinds of cards that mean ill, and what is run on them.
var hostileKinds = map[string]struct {
	as       func(func(int, []byte) []byte) func(int, []byte) []byte
	vars     map[string]string
	commands []string
}{
	"any": {
		func(answer func(int, []byte) []byte) func(int, []byte) []byte { return answer },
		map[string]string{"CARDCTL_PIN": canaryPIN, "CARDCTL_ADMIN_PIN": canaryAdmin, "CARDCTL_PUK": canaryPUK},
		[]string{
			"list-readers", "info", "init --yes", "gen-key -k OPENPGP.3", "export-cert -k PKCS15.45", "applet list --card-keys default", "doctor",
		},
	},
	"PIV": {asPIV, map[string]string{
		"CARDCTL_PIN": "73915826", "CARDCTL_NEW_PIN": "90448217", "CARDCTL_PUK": "Kanarie3",
		"CARDCTL_MANAGEMENT_KEY": canaryKey, "CARDCTL_NEW_MANAGEMENT_KEY": canaryKey, "CARDCTL_CURRENT_MANAGEMENT_KEY": canaryKey,
	}, []string{
		"list-readers", "info", "init --app piv --yes", "gen-key -k PIV.9A --replace unknown", "gen-csr -k PIV.9C --subject CN=a", "attest -k PIV.9A",
		"export-cert -k PIV.82", "move-key -k PIV.9A --retire", "set-pin user --app piv --allow-unknown-tries", "set-management-key", "doctor",
	}},
}

// TestHostileCardInAReader puts cards that mean ill into a reader: no command
// crashes, outlasts its --timeout, grows, or leaves without a word.
func TestHostileCardInAReader(t *testing.T) {
	for name, answer := range hostileCards {
		for kind, of := range hostileKinds {
			t.Run(name+", "+kind, func(t *testing.T) {
				d := stack.NewDesk(t)
				d.Setenv("CARDCTL_READER", stack.ReaderName(1))
				for name, value := range of.vars {
					d.Setenv(name, value)
				}
				asked := insertHostileCard(t, d, of.as(answer))
				for _, line := range of.commands {
					survives(t, d, line, of.vars)
				}
				if n := asked.Load(); n < 10 {
					t.Errorf("the card was only asked %d times", n)
				}
			})
		}
	}
}

// insertHostileCard returns once the card is seen in its reader. It counts what the card
// is asked.
func insertHostileCard(t *testing.T, d *stack.Desk, answer func(int, []byte) []byte) *atomic.Int64 {
	t.Helper()
	seen := func() bool { return strings.Contains(d.Run("opensc-tool", "--list-readers"), "Yes") }
	t.Cleanup(func() { d.Eventually("the card is gone", func() bool { return !seen() }) })
	asked, again := putHostileCard(t, answer)
	inserted := time.Now()
	d.Eventually("the card is seen", func() bool {
		if time.Since(inserted) > 10*time.Second { // on a busy machine the reader may miss that the card changed
			inserted = time.Now()
			again()
		}
		return seen()
	})
	return asked
}

// survives runs a command on a card that means ill.
func survives(t *testing.T, d *stack.Desk, line string, secrets map[string]string) {
	t.Helper()
	start := time.Now()
	r, usage := d.TryMeasured("cardctl", append(strings.Fields(line), "--timeout", "1s")...)
	said := r.Stdout + r.Stderr
	switch took := time.Since(start); {
	case r.Exit < 0 || r.Exit > 10 || r.Exit == 2, r.Exit != 0 && !strings.Contains(r.Stderr, "\nTry: "):
		t.Errorf("%v", r)
	case usage.PeakMemory > mostOfACard:
		t.Errorf("%s: %d MB", line, usage.PeakMemory>>20)
	case took > longestOfACard:
		t.Errorf("%s: took %v", line, took)
	case strings.Contains(said, "goroutine "):
		t.Errorf("%v", r)
	}
	for name, value := range secrets {
		if strings.Contains(strings.ToUpper(said), strings.ToUpper(value)) {
			t.Errorf("%s is in the output: %v", name, r)
		}
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
// the commands that the card gets; again pulls the card and puts it in again.
func putHostileCard(t *testing.T, answer func(int, []byte) []byte) (asked *atomic.Int64, again func()) {
	t.Helper()
	card, err := cardsim.NewCard(cardsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	asked, ended, pulled := new(atomic.Int64), make(chan struct{}), make(chan struct{})
	card.Tap(func(iso7816.Transmitter) iso7816.Transmitter { return liar{answer, asked} })
	ctx, pull := context.WithCancel(context.Background())
	t.Cleanup(func() {
		pull()
		<-ended
	})
	go func() {
		defer close(ended)
		// The reader may still be busy with the card before, and lose this one.
		for ctx.Err() == nil {
			once, pullOnce := context.WithCancel(ctx)
			go func() {
				select {
				case <-pulled:
					pullOnce()
				case <-once.Done():
				}
			}()
			_ = card.Attach(once, "localhost:35964", nil)
			pullOnce()
		}
	}()
	return asked, func() { pulled <- struct{}{} }
}
