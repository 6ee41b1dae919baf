//go:build cgo && linux && stack

package hardening

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/test/stack"
)

// interruptions are how a program is ended in the middle of a command.
var interruptions = []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGKILL}

// interruptedWorkflows are what is interrupted, on a card with its own PINs and a
// key in the place 3.
var interruptedWorkflows = []string{"gen-csr -k OPENPGP.3 --subject CN=a", "set-pin user --new-pin env:NEW", "gen-key -k OPENPGP.1 -a p256"}

const (
	// interruptsInTests is how many interrupts of a workflow are in a run of the
	// tests, where PULL_EVERY does not ask for all.
	interruptsInTests = 4
	// dying is how long a card goes on with its command after the signal: the
	// program is gone by then.
	dying = 30 * time.Millisecond
	// atOnce is how soon the next command has to be done.
	atOnce = 3 * time.Second
)

// TestInterrupted ends the program by a signal while the card works on a command,
// at every command of some workflows (or some of them), and wants the next
// command to work at once: the card is there, no try was used up, and the same
// workflow again completes, or refuses since it was complete.
func TestInterrupted(t *testing.T) {
	for _, protocol := range []struct{ name, profile string }{{"T=0", "t0"}, {"T=1", cardsim.DefaultProfile}} {
		base := interruptedCard(t, protocol.profile)
		for _, workflow := range interruptedWorkflows {
			name, _, _ := strings.Cut(workflow, " ")
			t.Run(protocol.name+" "+name, func(t *testing.T) {
				b := newInterruptBench(t, base)
				length := b.length(workflow)
				points, held := 0, 0
				for point := range length * len(interruptions) {
					if os.Getenv("PULL_EVERY") == "" && !sampled(point, length*len(interruptions)) {
						continue
					}
					points++
					if b.survives(workflow, 1+point/len(interruptions), interruptions[point%len(interruptions)]) {
						held++
					}
				}
				stack.Held(t, "interrupted", "OpenPGP", name, "daemon, "+protocol.name, points, held)
			})
		}
	}
}

// sampled spreads the interrupts of a run of the tests over all.
func sampled(point, of int) bool {
	return point*interruptsInTests/of != (point+1)*interruptsInTests/of
}

// interruptedCard is a card in memory with PINs and a key.
func interruptedCard(t *testing.T, profile string) *cardsim.Card {
	t.Helper()
	card, err := cardsim.NewCard(cardsim.Options{Profile: profile})
	if err != nil {
		t.Fatal(err)
	}
	b := newInterruptBench(t, card)
	b.Run("cardctl", "init", "--yes")
	b.Run("cardctl", "gen-key", "-k", "OPENPGP.3", "-a", "p256")
	b.takeOut()
	return b.card
}

// interruptBench is a desk with a twin of a card in virtual reader 0.
type interruptBench struct {
	*stack.Desk
	t    *testing.T
	base *cardsim.Card
	line *stack.Line

	card *cardsim.Card
	wire *interruptingWire
	pull func() bool
}

func newInterruptBench(t *testing.T, base *cardsim.Card) *interruptBench {
	t.Helper()
	b := &interruptBench{Desk: stack.NewDesk(t), t: t, base: base, line: stack.NewLine(t, 0)}
	b.Setenv("CARDCTL_READER", stack.ReaderName(0))
	b.Setenv("CARDCTL_PIN", stack.UserPIN)
	b.Setenv("CARDCTL_ADMIN_PIN", stack.AdminPIN)
	b.Setenv("NEW", stack.UserPIN+"7")
	b.insert()
	t.Cleanup(b.takeOut)
	return b
}

// insert puts a new twin into the reader.
func (b *interruptBench) insert() {
	b.t.Helper()
	b.takeOut()
	twin, err := b.base.Twin()
	if err != nil {
		b.t.Fatal(err)
	}
	b.card, b.wire = twin, &interruptingWire{}
	twin.Tap(func(card iso7816.Transmitter) iso7816.Transmitter {
		b.wire.card = card
		return b.wire
	})
	b.pull = b.line.Insert(twin)
}

func (b *interruptBench) takeOut() {
	b.t.Helper()
	if b.pull != nil {
		b.pull()
	}
	b.pull = nil
}

// length is how many commands a workflow sends.
func (b *interruptBench) length(workflow string) int {
	b.t.Helper()
	b.insert()
	before := b.card.Traffic().APDUs
	b.Run("cardctl", strings.Fields(workflow)...)
	return b.card.Traffic().APDUs - before
}

// survives interrupts a workflow at its n-th command.
func (b *interruptBench) survives(workflow string, n int, signal syscall.Signal) bool {
	b.t.Helper()
	if !bytes.Equal(b.card.State(), b.base.State()) {
		b.insert()
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	failed := func(r stack.Result) bool {
		b.t.Errorf("%s: after %v in command %d: %v", workflow, signal, n, r)
		return false
	}
	var stdout, stderr bytes.Buffer
	hit := b.wire.arm(n)
	process := b.Process(ctx, &stdout, &stderr, "cardctl", strings.Fields(workflow)...)
	ended := make(chan int, 1)
	go func() { ended <- process.Wait() }()
	exit := -2
	select {
	case release := <-hit:
		err := process.Signal(signal)
		release()
		if exit = <-ended; err != nil && !errors.Is(err, os.ErrProcessDone) {
			b.t.Fatal(err)
		}
	case exit = <-ended:
	}
	if !slices.Contains([]int{0, 130, -1}, exit) { // done before the signal, interrupted, killed
		return failed(stack.Result{Line: workflow, Stdout: stdout.String(), Stderr: stderr.String(), Exit: exit})
	}
	start := time.Now()
	info := b.Try("cardctl", "info", "-o", "json")
	if took := time.Since(start); info.Exit != 0 || took > atOnce {
		b.t.Errorf("info took %v", took)
		return failed(info)
	}
	if strings.Contains(info.Stdout, `"triesLeft": 2`) {
		return failed(info) // a try is gone
	}
	again := b.Try("cardctl", strings.Fields(workflow)...)
	if again.Exit == 0 || again.Exit == 9 && strings.HasPrefix(workflow, "gen-key") {
		return true
	}
	if strings.HasPrefix(workflow, "set-pin") && again.Exit == 4 {
		// The PIN was changed before.
		if changed := b.Try("cardctl", "set-pin", "user", "--pin", "env:NEW", "--new-pin", "env:NEW"); changed.Exit != 0 {
			return failed(changed)
		}
		return true
	}
	return failed(again)
}

// interruptingWire holds one command back until the program that sent it has got
// a signal.
type interruptingWire struct {
	card iso7816.Transmitter

	mu  sync.Mutex
	in  int // commands until then; 0 where none is held back
	hit chan func()
}

// arm holds back the n-th command from now on. What hit receives lets it go on.
func (w *interruptingWire) arm(n int) (hit <-chan func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.in, w.hit = n, make(chan func(), 1)
	return w.hit
}

func (w *interruptingWire) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	w.mu.Lock()
	hit := w.hit
	reached := w.in == 1
	w.in = max(0, w.in-1)
	w.mu.Unlock()
	if reached {
		signalled := make(chan struct{})
		hit <- sync.OnceFunc(func() { close(signalled) })
		select {
		case <-signalled:
			time.Sleep(dying)
		case <-ctx.Done():
		}
	}
	return w.card.Transmit(ctx, apdu)
}
