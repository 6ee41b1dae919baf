package cardsim

import (
	"errors"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// release is a card with OpenPGP selected whose connection is released.
func release(t *testing.T, reset bool) *host {
	t.Helper()
	h := opened(t, "")
	if err := h.conn.Release(reset); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) resumes(want error) {
	h.t.Helper()
	if err := h.conn.Resume(h.t.Context()); !errors.Is(err, want) {
		h.t.Fatalf("Resume: %v, want %v", err, want)
	}
}

func TestReleasedCardTakesNoCommand(t *testing.T) {
	h := release(t, false)
	if _, err := h.conn.Transmit(t.Context(), unhex(t, "00CA004F00")); !errors.Is(err, iso7816.ErrReleased) {
		t.Fatal(err)
	}
	if n := h.card.Traffic().APDUs; n != 1 {
		t.Errorf("%d commands reached the card", n)
	}
	h.resumes(nil)
	h.resumes(nil)
	h.expect("00CA004F00", 0x9000) // still selected
}

func TestReleaseWithReset(t *testing.T) {
	h := release(t, true)
	h.resumes(nil)
	h.expect("00CA004F00", 0x6D00)
}

// Others can use the card while it is released, and reset it.
func TestReleasedCardIsForOthers(t *testing.T) {
	h := release(t, false)
	mine := h.conn
	h.reconnect()
	h.expect("00CA004F00", 0x9000)
	if err := mine.Resume(t.Context()); !errors.Is(err, ErrBusy) {
		t.Fatalf("while another has it: %v", err)
	}
	if err := h.conn.Close(true); err != nil {
		t.Fatal(err)
	}
	h.conn = mine
	h.resumes(nil)
	h.expect("00CA004F00", 0x6D00)
	if _, err := h.card.Connect(t.Context()); !errors.Is(err, ErrBusy) {
		t.Errorf("after Resume another can connect: %v", err)
	}
}

// A card that was taken out is gone, and stays so when it is put back.
func TestRemovalOfAReleasedCard(t *testing.T) {
	h := release(t, false)
	mine := h.conn
	h.powerCycle()
	if err := h.conn.Close(false); err != nil {
		t.Fatal(err)
	}
	h.conn = mine
	h.resumes(iso7816.ErrCardRemoved)
	h.resumes(iso7816.ErrCardRemoved)
	h.pulled("00CA004F00")
}

func TestCloseOfAReleasedCard(t *testing.T) {
	h := release(t, false)
	if err := h.conn.Close(true); err != nil {
		t.Fatal(err)
	}
	h.resumes(iso7816.ErrCardRemoved)
	h.reconnect()
	h.expect("00CA004F00", 0x6D00) // it was reset
}
