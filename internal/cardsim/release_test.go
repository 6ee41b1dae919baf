//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package cardsim

import (
	"errors"
	"os"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// stored is a card of a store that is open here and released.
func stored(t *testing.T) (*Store, *host) {
	t.Helper()
	s := NewStore(t.TempDir())
	if err := s.Create("desk", Options{Serial: "12345678"}); err != nil {
		t.Fatal(err)
	}
	card, err := s.Open("desk")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	h := hold(t, card)
	h.selectOpenPGP()
	for range 2 { // the second changes nothing
		if err := h.conn.Release(false); err != nil {
			t.Fatal(err)
		}
	}
	return s, h
}

// Another process has its turn, and what it did is there afterwards.
func TestReleasedCardIsForOtherProcesses(t *testing.T) {
	s, h := stored(t)
	h.resumes(nil)
	h.expect("00CA004F00", 0x9000) // nobody had it
	if _, err := s.Open("desk"); !errors.Is(err, ErrBusy) {
		t.Fatalf("opened while it is held: %v", err)
	}
	if err := h.conn.Release(false); err != nil {
		t.Fatal(err)
	}
	other, err := s.Open("desk")
	if err != nil {
		t.Fatal(err)
	}
	var busy *BusyError
	if err := h.conn.Resume(t.Context()); !errors.As(err, &busy) || busy.PID != os.Getpid() {
		t.Fatalf("while another has it: %v", err)
	}
	o := hold(t, other)
	o.selectOpenPGP()
	o.verify(0x82, "999999", 0x63C2)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	h.resumes(nil)
	h.expect("00CA004F00", 0x6D00) // it was reset
	h.selectOpenPGP()
	h.wantTries(2, 0, 3)
	h.verify(0x82, factoryPW1, 0x9000)
	h.wantTries(3, 0, 3)
}

// A card that was deleted is gone, whatever is in its place.
func TestReleasedCardIsDeleted(t *testing.T) {
	for name, serial := range map[string]string{"deleted": "", "a twin": "12345678", "another": "87654321"} {
		t.Run(name, func(t *testing.T) {
			s, h := stored(t)
			if err := s.Delete("desk"); err != nil {
				t.Fatal(err)
			}
			if serial != "" {
				if err := s.Create("desk", Options{Serial: serial}); err != nil {
					t.Fatal(err)
				}
			}
			before, _ := os.ReadFile(s.statePath("desk"))
			h.resumes(iso7816.ErrCardRemoved)
			h.resumes(iso7816.ErrCardRemoved)
			h.pulled("00CA004F00")
			if after, _ := os.ReadFile(s.statePath("desk")); string(after) != string(before) {
				t.Error("the other card was written")
			}
		})
	}
}

// Nor is a card whose file holds another one now.
func TestReleasedCardIsOverwritten(t *testing.T) {
	s, h := stored(t)
	if err := s.Create("other", Options{Serial: "87654321"}); err != nil {
		t.Fatal(err)
	}
	state, err := os.ReadFile(s.statePath("other"))
	if err == nil {
		err = os.WriteFile(s.statePath("desk"), state, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	h.resumes(iso7816.ErrCardRemoved)
	h.resumes(iso7816.ErrCardRemoved)
}
