//go:build cgo && stack

package pcsc

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ebfe/scard"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// withReleased is a card in the virtual reader that is connected, verified and
// released.
func withReleased(t *testing.T, options Options) (*Manager, *virtualCard, iso7816.Connection) {
	t.Helper()
	m, card := withCard(t, options)
	c := connected(t, m)
	send(t, c, 0x20)
	if err := c.Release(false); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(true); err != nil {
			t.Error(err)
		}
	})
	return m, card, c
}

// twin takes the card out and puts another one of the same kind in.
func twin(t *testing.T, m *Manager, card *virtualCard) *virtualCard {
	t.Helper()
	card.remove()
	inVirtualReader(t, m, false)
	other := insert(t)
	inVirtualReader(t, m, true)
	return other
}

// anotherResets is another program's turn, which ends with a reset.
func anotherResets(t *testing.T, m *Manager) {
	t.Helper()
	if err := connected(t, m).Close(true); err != nil {
		t.Fatal(err)
	}
}

func TestStackRelease(t *testing.T) {
	m, _, c := withReleased(t, Options{})
	if _, err := c.Transmit(t.Context(), []byte{0, 0xB0, 0, 0}); !errors.Is(err, iso7816.ErrReleased) {
		t.Error(err)
	}
	if err := c.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := send(t, c, 0xB0); got != 0x9000 {
		t.Errorf("without a reset: %04X", got)
	}
	if err := c.Release(true); err != nil {
		t.Fatal(err)
	}
	if err := c.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := send(t, c, 0xB0); got != 0x6982 {
		t.Errorf("after our own reset: %04X", got)
	}
	send(t, c, 0x20)
	if err := c.Release(false); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		anotherResets(t, m)
	}
	if err := c.Resume(t.Context()); err != nil {
		t.Fatalf("after a reset: %v", err)
	}
	if got := send(t, c, 0xB0); got != 0x6982 {
		t.Errorf("after the reset of others: %04X", got)
	}
}

// A card that was taken out is gone, whatever is in the reader now and whatever
// happened to that.
func TestStackReleasedCardIsTakenOut(t *testing.T) {
	for name, swap := range map[string]func(*testing.T, *Manager, *virtualCard){
		"empty": func(t *testing.T, m *Manager, card *virtualCard) {
			card.remove()
			inVirtualReader(t, m, false)
		},
		"twin":                func(t *testing.T, m *Manager, card *virtualCard) { twin(t, m, card) },
		"twin of a twin":      func(t *testing.T, m *Manager, card *virtualCard) { twin(t, m, twin(t, m, card)) },
		"twin that was reset": func(t *testing.T, m *Manager, card *virtualCard) { twin(t, m, card); anotherResets(t, m) },
		"reset, then twin":    func(t *testing.T, m *Manager, card *virtualCard) { anotherResets(t, m); twin(t, m, card) },
	} {
		t.Run(name, func(t *testing.T) {
			m, card, c := withReleased(t, Options{})
			swap(t, m, card)
			for range 2 {
				if err := c.Resume(t.Context()); !errors.Is(err, iso7816.ErrCardRemoved) {
					t.Fatal(err)
				}
			}
			if _, err := c.Transmit(t.Context(), []byte{0, 0x20, 0, 0}); err == nil {
				t.Error("a command reached another card")
			}
			if name != "empty" {
				// The other card is free, and did not get anything.
				other := connected(t, m)
				if got := send(t, other, 0xB0); got != 0x6982 {
					t.Errorf("the other card is verified: %04X", got)
				}
				if err := other.Close(false); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestStackReleasedCardIsBusy(t *testing.T) {
	_, _, c := withReleased(t, Options{BusyTimeout: 2 * time.Second})
	pid, end := program(t, "transaction")
	err := c.Resume(t.Context())
	var busy *BusyError
	if !problem.Is(err, problem.CardBusy) || !errors.As(err, &busy) {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(busy.Holders, func(p Process) bool { return p.PID == pid }) {
		t.Errorf("holders %v, want process %d", busy.Holders, pid)
	}
	time.AfterFunc(100*time.Millisecond, end)
	if err := c.Resume(t.Context()); err != nil {
		t.Fatalf("when the other program has ended: %v", err)
	}
	send(t, c, 0x20)
}

// The handle that stays keeps others from taking the card for themselves.
func TestStackReleasedCardIsShared(t *testing.T) {
	_, _, c := withReleased(t, Options{})
	s, err := scard.EstablishContext()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Release() }()
	if _, err := s.Connect(virtualReader, scard.ShareExclusive, scard.ProtocolAny); err != scard.ErrSharingViolation {
		t.Errorf("exclusively: %v", err)
	}
	other, err := s.Connect(virtualReader, scard.ShareShared, scard.ProtocolAny)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Disconnect(scard.LeaveCard); err != nil {
		t.Error(err)
	}
	if err := c.Resume(t.Context()); err != nil {
		t.Error(err)
	}
}
