package pcsc

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
)

func present(r Reader) bool { return r.CardPresent }

func TestWaitForCardThatIsThere(t *testing.T) {
	s := newFakeSystem("A", "B")
	s.events["A"], s.events["B"] = 0x10, statePresent
	r, err := openFake(t, s).WaitForCard(t.Context(), present)
	if err != nil || r.Name != "B" || s.waits != 0 {
		t.Errorf("%+v, %v after %d waits", r, err, s.waits)
	}
}

func TestWaitForCard(t *testing.T) {
	tests := []struct {
		name   string
		system *fakeSystem
		change func(*fakeSystem)
	}{
		{"card comes", newFakeSystem("A"), func(s *fakeSystem) { s.events["A"] = statePresent }},
		{"reader comes with a card", newFakeSystem(), func(s *fakeSystem) {
			s.readers, s.events["A"] = []string{"A"}, statePresent
		}},
		{"another reader goes", newFakeSystem("A", "B"), func(s *fakeSystem) {
			s.readers, s.events["A"] = []string{"A"}, statePresent
		}},
	}
	for _, test := range tests {
		for mode, noNotify := range map[string]bool{"notified": false, "polled": true} {
			t.Run(test.name+" "+mode, func(t *testing.T) {
				t.Parallel()
				s := newFakeSystem(test.system.readers...)
				s.noNotify = noNotify
				for _, name := range s.readers {
					s.events[name] = 0x10
				}
				time.AfterFunc(30*time.Millisecond, func() { s.set(func() { test.change(s) }) })
				r, err := openFake(t, s).WaitForCard(t.Context(), present)
				if err != nil || r.Name != "A" {
					t.Errorf("%+v, %v", r, err)
				}
			})
		}
	}
}

// A change that nobody waits for does not make the wait a busy loop.
func TestWaitForCardRests(t *testing.T) {
	s := newFakeSystem("A")
	s.events["A"] = 0x10
	ctx, cancel := context.WithTimeout(t.Context(), 5*restTime/2)
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			select {
			case s.changed <- struct{}{}:
			case <-ctx.Done():
			}
		}
	}()
	if _, err := openFake(t, s).WaitForCard(ctx, present); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	if s.waits > 4 {
		t.Errorf("%d waits", s.waits)
	}
}

func TestWaitForCardCanceled(t *testing.T) {
	s := newFakeSystem("A")
	s.events["A"] = 0x10
	m := openFake(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	start := time.Now()
	if _, err := m.WaitForCard(ctx, present); err != context.Canceled {
		t.Fatal(err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("took %v", d)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "released", func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.released == 1 })
}

func TestWaitForCardWithoutDaemon(t *testing.T) {
	s := newFakeSystem("A")
	s.events["A"] = 0x10
	time.AfterFunc(10*time.Millisecond, func() { s.set(func() { s.waitErr = codeNoService }) })
	if _, err := openFake(t, s).WaitForCard(t.Context(), present); !problem.Is(err, problem.NotFound) {
		t.Error(err)
	}
}
