package pcsc

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// released is a connection to the fake card that is released.
func released(t *testing.T, s *fakeSystem) iso7816.Connection {
	t.Helper()
	c := connectFake(t, s)
	if err := c.Release(false); err != nil {
		t.Fatal(err)
	}
	return c
}

// swap is another card in reader A: taken out and put in are two events.
func (s *fakeSystem) swap() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.events["A"] += 2 << 16
}

func TestReleaseAndResume(t *testing.T) {
	for _, reset := range []bool{false, true} {
		s := newFakeSystem("A")
		c := connectFake(t, s)
		for range 2 { // the second is of no effect
			if err := c.Release(reset); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Transmit(t.Context(), []byte{0, 0xB0, 0, 0}); !errors.Is(err, iso7816.ErrReleased) || len(s.card.sent) != 0 {
			t.Errorf("a command to a released card: %v, sent %X", err, s.card.sent)
		}
		for range 2 {
			if err := c.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := c.Transmit(t.Context(), []byte{0, 0xB0, 0, 0}); err != nil {
			t.Error(err)
		}
		if err := c.Close(false); err != nil {
			t.Error(err)
		}
		if err := c.Resume(t.Context()); err == nil {
			t.Error("a closed connection is resumed")
		}
		want := []string{"begin", named("end", reset), "begin", "end", "disconnect"}
		if got := s.card.calls(); !slices.Equal(got, want) {
			t.Errorf("calls %q, want %q", got, want)
		}
	}
}

func TestResumeAfterAReset(t *testing.T) {
	s := newFakeSystem("A")
	c := released(t, s)
	s.card.beginErrs = []error{codeResetCard}
	s.card.againErrs = []error{codeSharingViolation, codeSharingViolation} // another program's transaction
	if err := c.Resume(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := []string{"begin", "end", "begin", "reconnect", "reconnect", "reconnect", "begin"}
	if got := s.card.calls(); !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
}

// A card that was taken out is gone for good, whatever is in the reader, and
// whatever code the resource manager has for it.
func TestResumeNoticesRemoval(t *testing.T) {
	for name, test := range map[string]struct {
		begin   []error
		again   []error
		swapped bool
		empty   bool
	}{
		"removed":               {begin: []error{codeRemovedCard}},
		"no card":               {begin: []error{codeNoSmartCard}},
		"reader gone":           {begin: []error{codeReaderUnavailable}},
		"reader unknown":        {begin: []error{codeUnknownReader}},
		"reader came back":      {begin: []error{codeInvalidHandle}},
		"daemon gone":           {begin: []error{codeServiceStopped}},
		"swapped":               {swapped: true},
		"swapped, then reset":   {begin: []error{codeResetCard}, swapped: true},
		"swapped, does not say": {begin: []error{codeResetCard}, again: []error{codeUnresponsiveCard}, swapped: true},
		"other code, no card":   {begin: []error{codeNotTransacted}, empty: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFakeSystem("A")
			c := released(t, s)
			s.card.beginErrs, s.card.againErrs = test.begin, test.again
			if test.swapped {
				s.swap()
			}
			if test.empty {
				s.mu.Lock()
				s.events["A"] = 0x10
				s.mu.Unlock()
			}
			for range 3 {
				if err := c.Resume(t.Context()); !errors.Is(err, iso7816.ErrCardRemoved) {
					t.Fatal(err)
				}
				if _, err := c.Transmit(t.Context(), []byte{0, 0x20, 0, 0x81}); err == nil || len(s.card.sent) != 0 {
					t.Fatalf("%v, sent %X", err, s.card.sent)
				}
			}
			if err := c.Close(true); err != nil {
				t.Error(err)
			}
			calls := s.card.calls()
			if last := calls[len(calls)-1]; last != "disconnect" {
				t.Errorf("Close reset the other card: %q", last)
			}
			if begun := slices.Index(calls[2:], "begin"); test.swapped && test.begin == nil && calls[2+begun+1] != "end" {
				t.Errorf("the other card is kept: %q", calls)
			}
		})
	}
}

// A removal that a command or Release met is remembered.
func TestRemovalIsRemembered(t *testing.T) {
	s := newFakeSystem("A")
	c := connectFake(t, s)
	s.card.err = codeRemovedCard
	if _, err := c.Transmit(t.Context(), []byte{0, 0xB0, 0, 0}); !errors.Is(err, iso7816.ErrCardRemoved) {
		t.Fatal(err)
	}
	s.card.endErr = codeRemovedCard
	if err := c.Release(true); err != nil {
		t.Fatal(err)
	}
	s.card.endErr, s.card.err = nil, nil
	if err := c.Resume(t.Context()); !errors.Is(err, iso7816.ErrCardRemoved) {
		t.Error(err)
	}
}

// Another program's transaction is waited for, then named; one that begins too
// late is ended, and the card can be had later.
func TestResumeBusy(t *testing.T) {
	for name, patience := range map[string]time.Duration{"own limit": time.Hour, "deadline": time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			s := newFakeSystem("A")
			c := released(t, s)
			s.card.begin = make(chan struct{})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			err := c.Resume(ctx)
			var busy *BusyError
			if !problem.Is(err, problem.CardBusy) || !errors.As(err, &busy) || len(busy.Holders) != 1 {
				t.Fatal(err)
			}
			close(s.card.begin)
			eventually(t, "the late transaction ends", func() bool {
				return slices.Equal(s.card.calls(), []string{"begin", "end", "begin", "end"})
			})
			if err := c.Resume(t.Context()); err != nil {
				t.Fatal(err)
			}
			if _, err := c.Transmit(t.Context(), []byte{0, 0xB0, 0, 0}); err != nil {
				t.Error(err)
			}
		})
	}
}

// A transaction that began on a card that is not ready is ended again.
func TestResumeOfACardThatDoesNotSettle(t *testing.T) {
	s := newFakeSystem("A")
	c := released(t, s)
	s.card.atrErrs = []error{errOther}
	if err := c.Resume(t.Context()); !errors.Is(err, errOther) {
		t.Fatal(err)
	}
	want := []string{"begin", "end", "begin", "end"}
	if got := s.card.calls(); !slices.Equal(got, want) {
		t.Errorf("calls %q, want %q", got, want)
	}
	if err := c.Resume(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestResumeCanceled(t *testing.T) {
	s := newFakeSystem("A")
	c := released(t, s)
	s.card.begin = make(chan struct{})
	defer close(s.card.begin)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := c.Resume(ctx); err != context.Canceled {
		t.Fatal(err)
	}
	if err := c.Resume(ctx); err != context.Canceled {
		t.Fatal(err)
	}
}

func TestCloseOfAReleasedCard(t *testing.T) {
	for _, reset := range []bool{false, true} {
		s := newFakeSystem("A")
		c := released(t, s)
		for range 2 {
			if err := c.Close(reset); err != nil {
				t.Fatal(err)
			}
		}
		want := []string{"begin", "end", named("disconnect", reset)}
		if got := s.card.calls(); !slices.Equal(got, want) || s.released != 1 {
			t.Errorf("calls %q, want %q", got, want)
		}
	}
}

func TestReleaseOfAWorkingCard(t *testing.T) {
	s := newFakeSystem("A")
	s.card.work = make(chan struct{})
	c := connectFake(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := c.Transmit(ctx, []byte{0, 0x47, 0x80, 0}); err != context.Canceled {
		t.Fatal(err)
	}
	if err := c.Release(true); !errors.Is(err, errWorking) {
		t.Error(err)
	}
	close(s.card.work)
}
