package pcsc

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

func TestReaders(t *testing.T) {
	s := newFakeSystem("A", "B", "C", "D")
	s.events["A"], s.atrs["A"] = statePresent|stateInUse|0x30000, []byte{0x3B, 1}
	s.events["B"] = 0x10
	s.events["C"], s.atrs["C"] = statePresent|stateExclusive, []byte{0x3B, 2}
	s.events["D"] = statePresent | stateMute
	got, err := openFake(t, s).Readers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []Reader{
		{Name: "A", CardPresent: true, ATR: []byte{0x3B, 1}, InUse: true, Changes: 3},
		{Name: "B"},
		{Name: "C", CardPresent: true, ATR: []byte{0x3B, 2}, InUse: true, Exclusive: true},
		{Name: "D", CardPresent: true, Mute: true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestNoReadersAreNoError(t *testing.T) {
	for name, s := range map[string]*fakeSystem{
		"empty list": newFakeSystem(),
		"code":       {listErr: codeNoReadersAvailable},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := openFake(t, s).Readers(t.Context())
			if err != nil || len(got) != 0 {
				t.Errorf("%v, %v", got, err)
			}
		})
	}
}

func TestOpenProblems(t *testing.T) {
	_, start := notRunning()
	tests := []struct {
		err  error
		code problem.Code
		next advice.Advice
	}{
		{codeNoService, problem.NotFound, start},
		{codeServiceStopped, problem.NotFound, start},
		{codeCommError, problem.NotFound, start},
		{codeSecurityViolation, problem.Failed, advice.Do(advice.Diagnose)},
	}
	for _, test := range tests {
		_, err := open(t.Context(), Options{}, func() (system, error) { return nil, test.err })
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != test.code || !reflect.DeepEqual(p.Next, test.next) {
			t.Errorf("%v: %#v", test.err, err)
		}
		if !strings.Contains(err.Error(), "[SCARD_") {
			t.Errorf("%v: no code in %q", test.err, err)
		}
	}
}

// A service that does not answer is given up when the context ends, and let go
// when it answers after all.
func TestOpenGivesUp(t *testing.T) {
	s := newFakeSystem()
	answer := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := open(ctx, Options{}, func() (system, error) { <-answer; return s, nil })
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	close(answer)
	eventually(t, "released", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.released == 1 })
}

func TestConnect(t *testing.T) {
	tests := []struct {
		name        string
		connectErrs []error
		beginErrs   []error
		atrErrs     []error
		want        []string
	}{
		{name: "at once", want: []string{"begin"}},
		{name: "reset while connecting", connectErrs: []error{codeResetCard}, want: []string{"begin"}},
		{name: "reset of a program that was killed", connectErrs: []error{codeProtocolMismatch, codeUnpoweredCard, codeUnresponsiveCard}, want: []string{"begin"}},
		{name: "reset behind our lock", atrErrs: []error{codeResetCard, codeProtocolMismatch}, want: []string{"begin", "reconnect", "reconnect"}},
		{name: "another program lets go", connectErrs: []error{codeSharingViolation, codeSharingViolation}, want: []string{"begin"}},
		{name: "reset before the transaction", beginErrs: []error{codeResetCard, codeResetCard},
			want: []string{"begin", "reconnect", "begin", "reconnect", "begin"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := newFakeSystem("A")
			s.connectErrs, s.card.beginErrs, s.card.atrErrs = test.connectErrs, test.beginErrs, test.atrErrs
			c, err := openFake(t, s).Connect(t.Context(), "A")
			if err != nil {
				t.Fatal(err)
			}
			if got := s.card.calls(); !slices.Equal(got, test.want) {
				t.Errorf("calls %q, want %q", got, test.want)
			}
			if !slices.Equal(c.ATR(), []byte{0x3B, 0x00}) {
				t.Errorf("ATR %X", c.ATR())
			}
		})
	}
}

func TestConnectProblems(t *testing.T) {
	tests := []struct {
		err   error
		code  problem.Code
		begin bool
	}{
		{err: codeUnknownReader, code: problem.NotFound},
		{err: codeReaderUnavailable, code: problem.NotFound},
		{err: codeNoSmartCard, code: problem.NotFound},
		{err: codeRemovedCard, code: problem.NotFound},
		{err: codeRemovedCard, code: problem.NotFound, begin: true},
		{err: codeUnresponsiveCard, code: problem.Failed},
		{err: codeUnpoweredCard, code: problem.Failed},
		{err: codeProtocolMismatch, code: problem.NotSupported},
		{err: codeSharingViolation, code: problem.CardBusy},
		{err: codeNoService, code: problem.NotFound},
		{err: code(0x80100001), code: problem.Failed},
		{err: errOther, code: problem.Failed},
	}
	for _, test := range tests {
		s := newFakeSystem("A")
		if test.begin {
			s.card.beginErrs = []error{test.err}
		} else {
			s.connectErrs = slices.Repeat([]error{test.err}, 100)
		}
		_, err := openFake(t, s).Connect(t.Context(), "A")
		if !problem.Is(err, test.code) {
			t.Errorf("%v: %v, want %s", test.err, err, test.code)
		}
		eventually(t, "released", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.released == 1 })
		if test.begin && !slices.Equal(s.card.calls(), []string{"begin", "disconnect"}) {
			t.Errorf("%v: calls %q", test.err, s.card.calls())
		}
	}
}

// Another program's transaction that does not end is a busy card, whether our
// own patience ends first or that of the caller.
func TestConnectBusy(t *testing.T) {
	for name, patience := range map[string]time.Duration{"own limit": time.Hour, "deadline": 200 * time.Millisecond} {
		t.Run(name, func(t *testing.T) {
			s := newFakeSystem("A")
			s.card.begin = make(chan struct{})
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			_, err := openFake(t, s).Connect(ctx, "A")
			var busy *BusyError
			if !problem.Is(err, problem.CardBusy) || !errors.As(err, &busy) {
				t.Fatal(err)
			}
			if want := []Process{{PID: 7, Name: "scdaemon"}}; !slices.Equal(busy.Holders, want) {
				t.Errorf("holders %v", busy.Holders)
			}
			close(s.card.begin)
			eventually(t, "let go without a reset", func() bool {
				return slices.Equal(s.card.calls(), []string{"begin", "end", "disconnect"})
			})
		})
	}
}

func TestConnectCanceled(t *testing.T) {
	s := newFakeSystem("A")
	s.card.begin = make(chan struct{})
	defer close(s.card.begin)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if _, err := openFake(t, s).Connect(ctx, "A"); err != context.Canceled {
		t.Fatal(err)
	}
}

func TestBusyProblem(t *testing.T) {
	release := advice.Run("gpgconf", "--kill", "scdaemon")
	closing := advice.Say("Close firefox (process 2), then run the command again.")
	scd, shares, firefox := Process{PID: 1, Name: "scdaemon"}, Process{PID: 1, Name: "scdaemon", Shares: true}, Process{PID: 2, Name: "firefox"}
	tests := []struct {
		holders []Process
		why     string
		next    advice.Advice
	}{
		{nil, "This system does not report which program it is.", advice.Do(advice.Diagnose)},
		{[]Process{scd}, "The program is scdaemon (process 1). With pcsc-shared in its scdaemon.conf, scdaemon shares the card.", release},
		{[]Process{shares}, "The program is scdaemon (process 1). It reads pcsc-shared in its scdaemon.conf only when it starts.", release},
		{[]Process{firefox}, "The program is firefox (process 2).", closing},
		{[]Process{scd, firefox}, "The program is one of these: scdaemon (process 1), firefox (process 2). With pcsc-shared in its scdaemon.conf, scdaemon shares the card.", release},
		{[]Process{firefox, shares}, "The program is one of these: firefox (process 2), scdaemon (process 1).", closing},
	}
	for _, test := range tests {
		p := (&BusyError{Reader: "A", Holders: test.holders}).Problem()
		if p.Code != problem.CardBusy || p.Why != test.why || !reflect.DeepEqual(p.Next, test.next) {
			t.Errorf("%v: %+v", test.holders, p)
		}
	}
}
