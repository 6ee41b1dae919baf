package pcsc

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

var read = []byte{0, 0xB0, 0, 0}

// A program that was killed leaves a card that is reset behind the back of the
// next one: the first command is not carried out, and is sent again.
func TestFirstCommandMeetsAReset(t *testing.T) {
	for name, open := range map[string]func(*testing.T, *fakeSystem) iso7816.Connection{
		"connected": connectFake,
		"resumed": func(t *testing.T, s *fakeSystem) iso7816.Connection {
			c := connectFake(t, s)
			if _, err := c.Transmit(t.Context(), read); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(c.Release(false), c.Resume(t.Context())); err != nil {
				t.Fatal(err)
			}
			s.card.sent = nil
			return c
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newFakeSystem("A")
			c := open(t, s)
			s.card.sendErrs = []error{codeProtocolMismatch, codeResetCard}
			s.card.againErrs = []error{nil, codeUnpoweredCard, codeProtocolMismatch}
			begun := len(s.card.calls())
			if _, err := c.Transmit(t.Context(), read); err != nil {
				t.Fatal(err)
			}
			if len(s.card.sent) != 1 {
				t.Errorf("sent %X", s.card.sent)
			}
			want := slices.Repeat([]string{"reconnect"}, 4)
			if got := s.card.calls()[begun:]; !slices.Equal(got, want) {
				t.Errorf("calls %q, want %q", got, want)
			}
		})
	}
}

// Later ones would find a card that has forgotten what was selected and
// verified.
func TestLaterCommandMeetsAReset(t *testing.T) {
	for _, reset := range []code{codeResetCard, codeProtocolMismatch} {
		s := newFakeSystem("A")
		c := connectFake(t, s)
		if _, err := c.Transmit(t.Context(), read); err != nil {
			t.Fatal(err)
		}
		s.card.sendErrs = []error{reset}
		if _, err := c.Transmit(t.Context(), read); !errors.Is(err, iso7816.ErrCardReset) {
			t.Errorf("%v: %v", reset, err)
		}
		if len(s.card.sent) != 1 || slices.Contains(s.card.calls(), "reconnect") {
			t.Errorf("sent %X, calls %q", s.card.sent, s.card.calls())
		}
	}
}

// A card that stays so is an error within a second or so, and nothing is sent
// to it any more when the caller has given up.
func TestCardThatDoesNotSettle(t *testing.T) {
	s := newFakeSystem("A")
	c := connectFake(t, s)
	s.card.sendErrs = slices.Repeat([]error{codeProtocolMismatch}, 1000)
	start := time.Now()
	if _, err := c.Transmit(t.Context(), read); !errors.Is(err, iso7816.ErrCardReset) {
		t.Error(err)
	}
	if took := time.Since(start); took > 2*lettingGoTime {
		t.Errorf("took %v", took)
	}

	s = newFakeSystem("A")
	c = connectFake(t, s)
	s.card.sendErrs = slices.Repeat([]error{codeProtocolMismatch}, 20)
	ctx, cancel := context.WithCancel(t.Context())
	defer time.AfterFunc(lettingGoPause*3/4, cancel).Stop() // in the first pause, or one soon after it
	if _, err := c.Transmit(ctx, read); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := c.Close(true); err != nil {
		t.Error(err)
	}
	eventually(t, "closed", func() bool { return slices.Contains(s.card.calls(), "disconnect") })
	if len(s.card.sent) != 0 {
		t.Errorf("sent %X after it was given up", s.card.sent)
	}
}
