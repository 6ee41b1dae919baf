// Package cardfault has something go wrong with a card behind a door of the agent, at
// everything that the card is asked for: it is pulled out, put back at once, swapped, or reset
// by another program. The cards are simulated, the keeper is real. What each door makes of
// it is judged here: a program gets an error that its protocol has for it, no other card gets
// a PIN or makes a signature, no try is lost, and the next program succeeds.
package cardfault

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

// Door is a way to the cards, with what a program can do there.
type Door struct {
	// Gone are the errors, as Open and its function return them, of a card that is not there any
	// more. Reset are those of one that another program reset.
	Gone, Reset []string
	Operations  []Operation
}

// Operation is what a program does.
type Operation struct {
	Name string
	Kind Kind
	// Open begins a program, which finds the key of the right card. The function uses it, and
	// reports what is not as it should be to t. It can be called again.
	Open func(t *testing.T, tokens agent.Tokens, public any) (use func() error, err error)
	// Ref is the key.
	Ref string
	// Cold has things go wrong while the card is read, too, which all operations do alike.
	Cold bool
}

// fault is something that goes wrong.
type fault struct {
	name   string
	strike func(s *scene) func(*reader, *connection) error
	// with is the card that takes the place of the right one, or the right one itself.
	with string
	// mended says that a program may not notice.
	mended, reset bool
}

func faults() []fault {
	put := func(which string) func(s *scene) func(*reader, *connection) error {
		return func(s *scene) func(*reader, *connection) error {
			return func(r *reader, _ *connection) error {
				r.put(s.cards[which]) // nil for ""
				return nil
			}
		}
	}
	return []fault{
		{name: "pulled", with: right, strike: put("")},
		{name: "pulled as it answers", with: right, strike: func(*scene) func(*reader, *connection) error {
			return func(r *reader, c *connection) error {
				if c == nil { // it is taken, which has no answer
					r.put(nil)
				}
				return iso7816.ErrCardRemoved
			}
		}},
		{name: "put back at once", with: right, strike: put(right), mended: true},
		{name: "swapped", with: other, strike: put(other)},
		{name: "swapped for a twin", with: twin, strike: put(twin)},
		{name: "reset", with: right, mended: true, reset: true, strike: func(s *scene) func(*reader, *connection) error {
			return func(_ *reader, c *connection) error {
				if c == nil {
					one, err := s.cards[right].sim.Connect(context.Background())
					if err != nil {
						return err
					}
					return one.Close(true)
				}
				c.reset = true
				return errors.Join(c.Connection.Release(true), c.Connection.Resume(context.Background()))
			}
		}},
	}
}

// phase is what happened before.
type phase struct {
	name string
	// used says that the key was used, so that the PIN is known.
	used bool
	// idle says that the card was released since, given that it was given to another program.
	idle, given bool
}

func phases() []phase {
	return []phase{
		{name: "first"}, {name: "held", used: true}, {name: "released", used: true, idle: true}, {name: "given away", used: true, given: true},
	}
}

// Judge has everything go wrong everywhere.
func Judge(t *testing.T, d Door) {
	for _, o := range d.Operations {
		t.Run(o.Name, func(t *testing.T) {
			t.Parallel()
			cards, dir := o.Kind.make(t), t.TempDir()
			for _, f := range faults() {
				t.Run(f.name, func(t *testing.T) {
					points := 0
					if o.Cold {
						points += d.every(t, cards, dir, o, f, nil)
					}
					for _, p := range phases() {
						points += d.every(t, cards, dir, o, f, &p)
					}
					t.Logf("%d points", points)
				})
			}
		})
	}
}

// every has a fault at every point of a phase, nil for the whole way from the first look at
// the card. It returns how many there are.
func (d Door) every(t *testing.T, cards map[string]*cardsim.Card, dir string, o Operation, f fault, p *phase) int {
	where := "cold"
	if p != nil {
		where = p.name
	}
	for n := 1; ; n++ {
		s := newScene(t, cards, dir, o, f, fmt.Sprintf("%s, %d", where, n), p != nil && p.idle)
		struck := s.point(d, f, p, n)
		s.end()
		if !struck || t.Failed() {
			return n - 1
		}
	}
}

// scene is a card in a reader, an agent, and a person who knows the PIN.
type scene struct {
	*agent.Keeper
	t      *testing.T
	o      Operation
	where  string
	reader *reader
	cards  map[string]*card
	public any
	asked  atomic.Int32
	end    func()
}

func newScene(t *testing.T, cards map[string]*cardsim.Card, dir string, o Operation, f fault, where string, idle bool) *scene {
	t.Helper()
	s := &scene{t: t, o: o, where: where, reader: &reader{}, cards: map[string]*card{}}
	for name, sim := range cards {
		s.cards[name] = &card{sim: sim}
	}
	s.reader.put(s.cards[right])
	options := agent.Options{
		Desk:   &desk.Desk{OpenReaders: s.reader.opens, Identify: family.Serials, StateDir: func() (string, error) { return dir, nil }},
		Access: desk.Access{Now: time.Now, Notify: func(string) {}, Ask: s.ask}, Cache: agent.Removal, CacheAlways: true, Idle: time.Hour,
	}
	if idle {
		options.Idle = time.Millisecond
	}
	s.Keeper = agent.New(options)
	ctx, stop := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() { _ = s.Run(ctx); close(over) }()
	s.end = func() {
		stop()
		<-over
	}
	return s
}

// ask is a person, for whom the card is released.
func (s *scene) ask(_ context.Context, q secret.Request) (*secret.Bytes, error) {
	if q.Waiting != nil {
		if err := q.Waiting(); err != nil {
			return nil, err
		}
	}
	s.asked.Add(1)
	return secret.New([]byte(pin)), nil
}

func (s *scene) errorf(format string, args ...any) {
	s.t.Helper()
	s.t.Errorf("%s: %s", s.where, fmt.Sprintf(format, args...))
}

// try is a program from its begin to its end.
func (s *scene) try() error {
	use, err := s.o.Open(s.t, s, s.public)
	if err != nil {
		return err
	}
	return use()
}

// point has a fault at the n-th thing that the card is asked for, and reports whether it was
// asked for so many.
func (s *scene) point(d Door, f fault, p *phase, n int) (struck bool) {
	s.t.Helper()
	s.public = s.publicKey()
	var use func() error
	var err error
	if p == nil { // the card is read anew
		s.reader.mu.Lock()
		s.reader.put(s.cards[right])
		s.reader.mu.Unlock()
	} else {
		use = s.before(*p)
	}
	s.reader.arm(n, f.strike(s))
	if use != nil {
		err = use()
	} else if use, err = s.o.Open(s.t, s, s.public); err == nil {
		err = use()
	}
	if !s.reader.disarm() {
		if err != nil {
			s.errorf("nothing is wrong: %v", err)
		}
		return false
	}
	s.judge(d, f, err)
	if f.with != right {
		if err := s.try(); err == nil || !slices.Contains(d.Gone, err.Error()) {
			s.errorf("with another card: %v", err)
		}
		if c := s.cards[f.with]; c.pins > 0 || c.uses > 0 {
			s.errorf("the other card got %d PINs, and was used %d times", c.pins, c.uses)
		}
	}
	s.reader.mu.Lock()
	if s.reader.card != s.cards[right] {
		s.reader.put(s.cards[right])
	}
	s.reader.mu.Unlock()
	if _, err := s.All(s.t.Context()); err != nil { // the agent looks at the readers, as it does three times in a second
		s.errorf("%v", err)
	}
	if f.reset && use != nil {
		err = use() // the same program
	} else {
		err = s.try()
	}
	if err != nil {
		s.errorf("the next try: %v", err)
	}
	s.count(f, p)
	return true
}

// publicKey is the public half of the key.
func (s *scene) publicKey() any {
	s.t.Helper()
	k, err := s.key()
	if err != nil {
		s.t.Fatalf("%s: %v", s.where, err)
	}
	return k.About().Public
}

// key is the key that the card in the reader has in the place of the operation's.
func (s *scene) key() (agent.Key, error) {
	all, err := s.All(s.t.Context())
	if err != nil {
		return nil, err
	}
	for _, token := range all {
		keys, err := token.Keys(s.t.Context())
		if err != nil {
			return nil, err
		}
		for _, k := range keys {
			if k.About().Ref == s.o.Ref {
				return k, nil
			}
		}
	}
	return nil, fmt.Errorf("no %s", s.o.Ref)
}

// before does what happened before, and returns what the program does next.
func (s *scene) before(p phase) (use func() error) {
	s.t.Helper()
	use, err := s.o.Open(s.t, s, s.public)
	if err == nil && p.used {
		err = use()
	}
	if err == nil && p.given {
		err = s.Release(s.t.Context(), "")
	}
	if err != nil {
		s.t.Fatalf("%s: before: %v", s.where, err)
	}
	for end := time.Now().Add(5 * time.Second); p.idle && s.Status()[0].Held; time.Sleep(100 * time.Microsecond) {
		if time.Now().After(end) {
			s.t.Fatal("the card is not released")
		}
	}
	return use
}

// judge judges what a program got.
func (s *scene) judge(d Door, f fault, err error) {
	s.t.Helper()
	allowed := d.Gone
	if f.reset {
		allowed = d.Reset
	}
	switch {
	case err == nil && !f.mended:
		s.errorf("a card that is not there was used")
	case err != nil && !slices.Contains(allowed, err.Error()):
		s.errorf("the program gets %v", err)
	}
}

// count judges how often the PIN was asked for and sent: once if the card stays, unless nobody
// knows whether the card accepted the one that was on its way.
func (s *scene) count(f fault, p *phase) {
	s.t.Helper()
	most := int32(2)
	if f.reset && p != nil && p.used && !s.reader.pin {
		most = 1
	}
	if n := s.asked.Load(); n > most {
		s.errorf("a person was asked %d times", n)
	}
	if c := s.cards[right]; c.refusals > 0 {
		s.errorf("%d PINs were refused", c.refusals)
	}
}
