package pcsc

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"
)

// fakeSystem is a resource manager whose answers are set by the test.
type fakeSystem struct {
	mu       sync.Mutex
	readers  []string
	listErr  error
	events   map[string]stateFlag
	atrs     map[string][]byte
	waits    int   // calls of getStatusChange that had to wait
	noNotify bool  // the notification reader is not known
	waitErr  error // what a wait ends with
	changed  chan struct{}
	stopped  chan struct{}

	connectErrs []error // in turn, then the card
	card        *fakeCard
	released    int
}

func newFakeSystem(readers ...string) *fakeSystem {
	return &fakeSystem{
		readers: readers, events: map[string]stateFlag{}, atrs: map[string][]byte{},
		changed: make(chan struct{}, 10), stopped: make(chan struct{}, 10), card: newFakeCard(),
	}
}

// set changes what the test sees next, and tells who waits.
func (s *fakeSystem) set(change func()) {
	s.mu.Lock()
	change()
	s.mu.Unlock()
	s.changed <- struct{}{}
}

func (s *fakeSystem) listReaders() ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.readers), s.listErr
}

func (s *fakeSystem) getStatusChange(states []readerState, timeout time.Duration) error {
	different, err := s.look(states)
	if err != nil || different {
		return err
	}
	s.mu.Lock()
	s.waits++
	s.mu.Unlock()
	select {
	case <-s.changed:
		if _, err := s.look(states); err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.waitErr
	case <-s.stopped:
		return codeCancelled
	case <-time.After(timeout):
		return codeTimeout
	}
}

func (s *fakeSystem) look(states []readerState) (different bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range states {
		name := states[i].reader
		if name == notification {
			if s.noNotify {
				return false, codeUnknownReader
			}
			continue
		}
		if !slices.Contains(s.readers, name) {
			return false, codeUnknownReader
		}
		states[i].event, states[i].atr = s.events[name], s.atrs[name]
		if states[i].event != states[i].current || states[i].current == 0 {
			states[i].event |= stateChanged
			different = true
		}
	}
	return different, nil
}

func (s *fakeSystem) cancel() error { s.stopped <- struct{}{}; return nil }

func (s *fakeSystem) connect(reader string) (card, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.connectErrs) > 0 {
		err := s.connectErrs[0]
		s.connectErrs = s.connectErrs[1:]
		if err != nil {
			return nil, err
		}
	}
	return s.card, nil
}

func (s *fakeSystem) release() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.released++
	return nil
}

// fakeCard is a card whose calls are recorded.
type fakeCard struct {
	mu        sync.Mutex
	log       []string
	t0        bool
	beginErrs []error
	againErrs []error // of reconnect
	atrErrs   []error
	sendErrs  []error       // of transmit, before the card gets anything
	begin     chan struct{} // where set, beginTransaction waits for it
	work      chan struct{} // where set, transmit waits for it
	sent      [][]byte
	answer    []byte
	err       error
	endErr    error
}

func newFakeCard() *fakeCard { return &fakeCard{answer: []byte{0x90, 0x00}} }

func (c *fakeCard) note(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = append(c.log, what)
}

func (c *fakeCard) calls() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.log)
}

func (c *fakeCard) protocolT0() bool     { return c.t0 }
func (c *fakeCard) atr() ([]byte, error) { return []byte{0x3B, 0x00}, c.next(&c.atrErrs) }
func (c *fakeCard) sync()                {}

func (c *fakeCard) beginTransaction() error {
	if c.begin != nil {
		<-c.begin
	}
	c.note("begin")
	return c.next(&c.beginErrs)
}

// next is the first of a list of errors, which loses it.
func (c *fakeCard) next(list *[]error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(*list) == 0 {
		return nil
	}
	err := (*list)[0]
	*list = (*list)[1:]
	return err
}

func (c *fakeCard) endTransaction(reset bool) error { c.note(named("end", reset)); return c.endErr }
func (c *fakeCard) reconnect() error                { c.note("reconnect"); return c.next(&c.againErrs) }
func (c *fakeCard) disconnect(reset bool) error     { c.note(named("disconnect", reset)); return nil }

func (c *fakeCard) transmit(apdu []byte) ([]byte, error) {
	if c.work != nil {
		<-c.work
	}
	if err := c.next(&c.sendErrs); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sent = append(c.sent, slices.Clone(apdu))
	return slices.Clone(c.answer), c.err
}

func named(call string, reset bool) string {
	if reset {
		return call + " reset"
	}
	return call
}

func openFake(t *testing.T, s *fakeSystem) *Manager {
	t.Helper()
	m, err := open(t.Context(), Options{BusyTimeout: 200 * time.Millisecond}, func() (system, error) { return s, nil })
	if err != nil {
		t.Fatal(err)
	}
	m.holders = func(context.Context) []Process { return []Process{{PID: 7, Name: "scdaemon"}} }
	return m
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("never: " + what)
		}
	}
}

var errOther = errors.New("another error")
