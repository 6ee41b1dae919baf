package pcsc

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

func connectFake(t *testing.T, s *fakeSystem) iso7816.Connection {
	t.Helper()
	s.mu.Lock()
	s.events["A"] = statePresent
	s.mu.Unlock()
	c, err := openFake(t, s).Connect(t.Context(), "A")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestTransmit(t *testing.T) {
	tests := []struct {
		name     string
		t0       bool
		apdu     string
		wantSent string
	}{
		{"T=1, case 4", false, "\x00\xA4\x04\x00\x02\x01\x02\x00", "\x00\xA4\x04\x00\x02\x01\x02\x00"},
		{"T=0, case 1", true, "\x00\x20\x00\x81", "\x00\x20\x00\x81\x00"},
		{"T=0, case 2", true, "\x00\xCA\x00\x6E\x00", "\x00\xCA\x00\x6E\x00"},
		{"T=0, case 3", true, "\x00\x20\x00\x81\x01\x31", "\x00\x20\x00\x81\x01\x31"},
		{"T=0, case 4", true, "\x00\xA4\x04\x00\x02\x01\x02\x00", "\x00\xA4\x04\x00\x02\x01\x02"},
		{"T=0, extended", true, "\x00\xCA\x00\x6E\x00\x08\x00", "\x00\xCA\x00\x6E\x00\x08\x00"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newFakeSystem("A")
			s.card.t0, s.card.answer = test.t0, []byte{1, 2, 0x90, 0}
			apdu := []byte(test.apdu)
			answer, err := connectFake(t, s).Transmit(t.Context(), apdu)
			if err != nil || !bytes.Equal(answer, []byte{1, 2, 0x90, 0}) {
				t.Fatalf("%X, %v", answer, err)
			}
			if got := string(s.card.sent[0]); got != test.wantSent {
				t.Errorf("sent %X, want %X", got, test.wantSent)
			}
			if string(apdu) != test.apdu {
				t.Errorf("the caller's APDU became %X", apdu)
			}
		})
	}
}

func TestTransmitErrors(t *testing.T) {
	tests := []struct {
		name    string
		err     error
		answer  []byte
		removed bool // while the command ran
		used    bool // by another program, too
		want    error
	}{
		{name: "empty answer", want: codeNotTransacted},
		{name: "empty answer, removed", removed: true, want: iso7816.ErrCardRemoved},
		{name: "half a status word", answer: []byte{0x90}, want: codeNotTransacted},
		{name: "removed", err: codeRemovedCard, want: iso7816.ErrCardRemoved},
		{name: "no card", err: codeNoSmartCard, want: iso7816.ErrCardRemoved},
		{name: "reader gone", err: codeReaderUnavailable, want: iso7816.ErrCardRemoved},
		{name: "daemon gone", err: codeNoService, want: iso7816.ErrCardRemoved},
		{name: "reset", err: codeResetCard, want: iso7816.ErrCardReset},
		{name: "cut off by removal", err: codeNotTransacted, removed: true, want: iso7816.ErrCardRemoved},
		{name: "used, and then removed", err: codeNotTransacted, used: true, removed: true, want: iso7816.ErrCardRemoved},
		{name: "card still there", err: codeNotTransacted, want: codeNotTransacted},
		{name: "still there, and used", err: codeNotTransacted, used: true, want: codeNotTransacted},
		{name: "not of PC/SC", err: errOther, want: errOther},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			s := newFakeSystem("A")
			c := connectFake(t, s)
			s.card.answer, s.card.err = test.answer, test.err
			if test.used {
				time.AfterFunc(10*time.Millisecond, func() { s.set(func() { s.events["A"] |= stateInUse }) })
			}
			if test.removed {
				time.AfterFunc(20*time.Millisecond, func() { s.set(func() { s.events["A"] = 0x10 }) })
			}
			_, err := c.Transmit(t.Context(), []byte{0, 0xB0, 0, 0})
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if test.want != iso7816.ErrCardRemoved && errors.Is(err, iso7816.ErrCardRemoved) {
				t.Errorf("%v is said to be removed", test.err)
			}
		})
	}
}

func TestTransmitRefusesNoCommand(t *testing.T) {
	s := newFakeSystem("A")
	if _, err := connectFake(t, s).Transmit(t.Context(), []byte{0, 1}); !errors.Is(err, iso7816.ErrEncoding) {
		t.Error(err)
	}
	if len(s.card.sent) != 0 {
		t.Errorf("sent %X", s.card.sent)
	}
}

// A command that was given up still runs: the connection is closed after it.
func TestTransmitCanceled(t *testing.T) {
	s := newFakeSystem("A")
	s.card.work = make(chan struct{})
	c := connectFake(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := c.Transmit(ctx, []byte{0, 0x47, 0x80, 0}); err != context.Canceled {
		t.Fatal(err)
	}
	if err := c.Close(true); err != nil {
		t.Fatal(err)
	}
	if got := s.card.calls(); !slices.Equal(got, []string{"begin"}) {
		t.Fatalf("calls %q while the command ran", got)
	}
	close(s.card.work)
	eventually(t, "closed", func() bool {
		return slices.Equal(s.card.calls(), []string{"begin", "end reset", "disconnect"})
	})
}

func TestTransmitAfterTheEnd(t *testing.T) {
	s := newFakeSystem("A")
	c := connectFake(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Transmit(ctx, []byte{0, 0x20, 0, 0x81}); err != context.Canceled || len(s.card.sent) != 0 {
		t.Errorf("%v, sent %X", err, s.card.sent)
	}
}

func TestClose(t *testing.T) {
	tests := []struct {
		name   string
		reset  bool
		endErr error
		want   []string
	}{
		{"leave", false, nil, []string{"begin", "end", "disconnect"}},
		{"reset", true, nil, []string{"begin", "end reset", "disconnect"}},
		{"reset that failed", true, codeNotTransacted, []string{"begin", "end reset", "disconnect reset"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newFakeSystem("A")
			s.card.endErr = test.endErr
			if err := connectFake(t, s).Close(test.reset); err != nil {
				t.Fatal(err)
			}
			if got := s.card.calls(); !slices.Equal(got, test.want) {
				t.Errorf("calls %q, want %q", got, test.want)
			}
			if s.released != 1 {
				t.Errorf("released %d times", s.released)
			}
		})
	}
}
