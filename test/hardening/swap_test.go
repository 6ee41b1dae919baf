//go:build cgo && linux && stack

package hardening

import (
	"errors"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/test/stack"
)

// swapped is a card in virtual reader 0 and its twin, which comes in its place at
// a moment.
func swapped(t *testing.T, at cardsim.Moment) (*cardsim.Reader, *stack.Line, *cardsim.Card) {
	t.Helper()
	card, err := cardsim.NewCard(cardsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	twin, err := card.Twin()
	if err != nil {
		t.Fatal(err)
	}
	reader := cardsim.NewReader(card)
	reader.SwapAt(at, twin)
	line := stack.NewLine(t, 0)
	pull := line.Insert(reader)
	t.Cleanup(func() { pull() })
	return reader, line, twin
}

// TestSwappedBetweenCommands is the facility itself, through the daemon: the
// command that meets a swap ends with 10, and the next one reaches the twin.
func TestSwappedBetweenCommands(t *testing.T) {
	reader, line, twin := swapped(t, cardsim.BeforeAPDU(4))
	d := stack.NewDesk(t)
	d.Setenv("CARDCTL_READER", stack.ReaderName(0))
	if r := d.Try("cardctl", "info"); r.Exit != 10 {
		t.Errorf("exit status %d\n%v", r.Exit, r)
	}
	if len(reader.Stays()[0].Sent()) != 3 {
		t.Errorf("the first card got %X", reader.Stays()[0].Sent())
	}
	d.Eventually("the twin is in the reader", func() bool { return len(reader.Stays()) == 2 })
	line.Await(true)
	d.Eventually("the twin answers", func() bool { return d.Try("cardctl", "info").Exit == 0 })
	if stay := reader.Stays()[1]; stay.Card != twin || len(stay.Sent()) == 0 || stay.Changed() {
		t.Errorf("the twin got %X", stay.Sent())
	}
}

// TestSwappedWhileReleased resumes a line after a twin came into the reader when
// the card was reset, and when a test says so.
func TestSwappedWhileReleased(t *testing.T) {
	for name, at := range map[string]cardsim.Moment{"when it is free": cardsim.WhenFree(1), "by hand": cardsim.WhenFree(100)} {
		t.Run(name, func(t *testing.T) {
			reader, line, twin := swapped(t, at)
			readers, err := pcsc.Open(t.Context(), pcsc.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = readers.Close() }()
			connection, err := readers.Connect(t.Context(), line.Reader())
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = connection.Close(true) }()
			if _, err := connection.Transmit(t.Context(), []byte{0, 0xA4, 4, 0, 6, 0xD2, 0x76, 0, 1, 0x24, 1}); err != nil {
				t.Fatal(err)
			}
			if err := connection.Release(true); err != nil {
				t.Fatal(err)
			}
			if name == "by hand" {
				reader.Swap(twin)
			} else {
				stack.NewDesk(t).Eventually("the twin has come", func() bool { return len(reader.Stays()) == 2 })
				line.Await(false)
			}
			line.Await(true)
			for range 2 {
				if err := connection.Resume(t.Context()); !errors.Is(err, iso7816.ErrCardRemoved) {
					t.Fatal(err)
				}
			}
			if sent := reader.Stays()[1].Sent(); len(sent) != 0 {
				t.Errorf("the twin got %X", sent)
			}
		})
	}
}
