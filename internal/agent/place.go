package agent

import (
	"context"
	"errors"
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// place is a card in a reader, or a token of a module: one that is inserted later is another
// place. What is done with it is done by run, one after the other.
type place struct {
	keeper  *Keeper
	name    string          // of the reader, or the URI of the token
	changes uint16          // of the reader when it was inserted
	module  string          // of a token
	life    context.Context // as long as the card is there
	stop    context.CancelFunc
	readers sync.WaitGroup // of those that read it
	jobs    chan *job
	over    chan struct{} // closed when run has ended
	pins    pins

	mu     sync.Mutex // for what follows
	sight  sight
	tokens []*held
	now    Status
	open   bool     // there is a session
	asking bool     // a person is asked for a PIN
	fresh  bool     // the use that goes on wants the PIN of a person
	by     []Client // who waits for a use, the first one is served
}

func newPlace(k *Keeper, name string, changes uint16) *place {
	return &place{
		keeper: k, name: name, changes: changes, jobs: make(chan *job), over: make(chan struct{}), now: Status{Reader: name},
		pins: pins{keep: k.o.Cache, now: k.o.Access.Now, kept: map[string]kept{}, given: map[string]*secret.Bytes{}, left: map[string]int{}, seed: maphash.MakeSeed()},
	}
}

// is reports whether the place is the card that a reader has now.
func (p *place) is(r pcsc.Reader) bool {
	return p.module == "" && p.name == r.Name && p.changes == r.Changes
}

// job is something that is done with the card.
type job struct {
	ctx  context.Context
	do   func(context.Context, *session) error
	done chan error
}

// session is a card that is open.
type session struct {
	place *place
	here  family.At
	app   string
	card  card.Card // of app
	of    card.Card // that keys are of
	keys  map[string]key.Key
	// refused says that the last PIN was not accepted, over that the session has to end, taken
	// that no other card can have come since the place was looked at last: PC/SC tells who holds
	// on to a card of another one.
	refused, over, taken bool
}

// ask has something done with the card.
func (p *place) ask(ctx context.Context, do func(context.Context, *session) error) error {
	j := &job{ctx: ctx, do: do, done: make(chan error, 1)}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.over:
		return p.gone()
	case p.jobs <- j:
	}
	select {
	case err := <-j.done:
		return err
	case <-p.over:
		select {
		case err := <-j.done:
			return err
		default:
			return p.gone()
		}
	}
}

func (p *place) gone() error {
	return problem.New(problem.CardRemoved, "the card was removed from %s", p.name)
}

// run does the jobs, and opens the card for the first one. It ends with the card.
func (p *place) run(ctx context.Context) {
	defer p.keeper.ended(p)
	defer p.pins.drop()
	defer p.blind()
	defer close(p.over)
	var next *job
	for {
		if next == nil {
			select {
			case <-ctx.Done():
				return
			case next = <-p.jobs:
			}
		}
		if ctx.Err() != nil {
			next.done <- p.gone()
			return
		}
		first := next
		next = nil
		err := p.session(ctx, func(ctx context.Context, s *session) (err error) {
			next, err = s.serve(ctx, first)
			return err
		})
		p.tell(func(now *Status) { now.Held, p.open = false, false })
		select {
		case first.done <- err: // it was not opened
		default:
		}
		if problem.Gone(err) {
			if next != nil {
				next.done <- err
			}
			return
		}
	}
}

// session opens the card, or the token.
func (p *place) session(ctx context.Context, work func(context.Context, *session) error) error {
	d := *p.keeper.o.Desk
	a := p.keeper.o.Access
	a.Ask = p.secret
	if p.module != "" {
		d.Meant = desk.Selection{Module: p.module, ModuleTyped: true, Token: p.name}
		w := family.Wanted{Takes: family.Apps(func(f card.Family) bool { return f.Token })}
		return family.WithCard(ctx, &d, w, a, func(ctx context.Context, here family.At, c card.Card) error {
			return work(ctx, &session{place: p, here: here, card: c})
		})
	}
	d.Meant = desk.Selection{Reader: p.name, ReaderTyped: true}
	return family.WithLine(ctx, &d, a, func(ctx context.Context, here family.At) error {
		return work(ctx, &session{place: p, here: here})
	})
}

// serve does the first job and those after it, and lets the card go when nobody has
// wanted it for a while. It ends when the card is another one, or cannot be reached, and a
// token's to log out of it. A job that it has not begun is the next one's.
func (s *session) serve(ctx context.Context, next *job) (*job, error) {
	p := s.place
	p.tell(func(*Status) { p.open = true })
	idle := time.NewTimer(p.keeper.o.Idle)
	defer idle.Stop()
	for {
		if next != nil {
			err := s.work(ctx, next)
			next.done <- err
			if problem.Gone(err) || s.over {
				return nil, err
			}
			if err := s.acknowledge(err); err != nil {
				return nil, err
			}
			idle.Reset(p.keeper.o.Idle)
		}
		next = nil
		select {
		case <-ctx.Done():
			return nil, nil
		case next = <-p.jobs:
			if ctx.Err() != nil {
				next.done <- p.gone()
				return nil, nil
			}
		case <-idle.C:
		}
		if next == nil || p.pins.over() {
			if err := s.release(); err != nil || s.over {
				return next, err
			}
		}
	}
}

// work does a job.
func (s *session) work(ctx context.Context, j *job) error {
	p := s.place
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(j.ctx, stop)()
	p.tell(func(now *Status) { now.Held = true })
	err := j.do(ctx, s)
	p.pins.settle(err)
	if ctx.Err() != nil && j.ctx.Err() != nil {
		err = j.ctx.Err()
	}
	p.tell(s.tells)
	return err
}

// tells puts what is known of the line into the status.
func (s *session) tells(now *Status) {
	now.APDUs = uint64(s.here.Line.Sent())
	now.Held = !s.over && (s.place.module != "" || s.here.Line.Held())
}

// take takes the card of which programs were told, before it gets a PIN.
func (s *session) take(ctx context.Context) error {
	if s.taken || s.place.module != "" {
		return nil
	}
	if _, err := s.here.Line.Channel(ctx); err != nil {
		return key.Explain(err, "taking the card", "")
	}
	if s.place.keeper.look(ctx); ctx.Err() != nil { // the place has ended
		return s.place.gone()
	}
	s.taken = true
	return nil
}

// acknowledge lets the card go after an error that says that another program reset it: it
// answers nothing before it is taken again.
func (s *session) acknowledge(err error) error {
	if !errors.Is(err, iso7816.ErrCardReset) {
		return nil
	}
	return s.release()
}

// release lets the card go, without a verified PIN. A token is logged out of by the end of
// its session.
func (s *session) release() error {
	s.over = s.place.module != ""
	if s.over {
		return nil
	}
	err := s.here.Line.Release()
	s.place.tell(s.tells)
	return err
}

// letGo lets the card go for another program. While a person is asked for a PIN, it is not
// held.
func (p *place) letGo(ctx context.Context) error {
	p.mu.Lock()
	free := !p.open || p.asking
	p.mu.Unlock()
	if free {
		return nil
	}
	err := p.ask(ctx, func(_ context.Context, s *session) error {
		if s.over = p.module != ""; s.over {
			return nil
		}
		s.taken = false
		return s.here.Line.LetGo()
	})
	switch {
	case problem.Gone(err):
		return nil
	case errors.Is(err, context.DeadlineExceeded):
		return problem.New(problem.CardBusy, "the card in %s does not end what it does", p.name)
	}
	return err
}

func (p *place) tell(what func(*Status)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	what(&p.now)
}

func (p *place) status() Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.now
	now.PINCached = p.pins.any()
	return now
}

// secret is the PIN that was accepted before, or what a person gives.
func (p *place) secret(ctx context.Context, q secret.Request) (*secret.Bytes, error) {
	p.mu.Lock()
	fresh, by := p.fresh, p.by
	p.mu.Unlock()
	if !fresh {
		if value := p.pins.get(q); value != nil {
			return value, nil
		}
	}
	if len(by) > 0 {
		q.Note = problem.Sentences(q.Note, by[0].Asks("use a key"))
	}
	if waiting := q.Waiting; waiting != nil {
		q.Waiting = func() error {
			err := waiting()
			p.tell(func(now *Status) { now.Held, p.asking = false, err == nil })
			return err
		}
	}
	value, err := p.keeper.o.Access.Ask(ctx, q)
	p.tell(func(*Status) { p.asking = false })
	if err != nil || value == nil {
		return value, err
	}
	if err := p.pins.hold(q, value, !fresh); err != nil {
		value.Wipe()
		return nil, err
	}
	return value, nil
}

// application is the card with one of its applications open.
func (s *session) application(ctx context.Context, app string) (card.Card, error) {
	if s.card != nil && s.app == app {
		return s.card, nil
	}
	s.app, s.card = app, nil // another may be selected, even if this one is not
	c, err := s.here.Open(ctx, app)
	if err == nil {
		s.card = c
	}
	return c, err
}

// found are the tokens of the place.
func (p *place) found() []Token {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []Token
	for _, t := range slices.Clone(p.tokens) {
		all = append(all, t)
	}
	return all
}
