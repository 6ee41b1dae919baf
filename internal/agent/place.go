package agent

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// place is a card in a reader, or a token of a module: one that is inserted later is another
// place. What is done with it is done by run, one after the other.
type place struct {
	keeper  *Keeper
	name    string // of the reader, or the URI of the token
	changes uint16 // of the reader when it was inserted
	module  string // of a token
	stop    context.CancelFunc
	jobs    chan *job
	over    chan struct{} // closed when run has ended
	pins    pins

	reading   sync.Mutex
	mu        sync.Mutex // for what follows
	inspected bool
	// It was to be inspected and could not be reached: missed for ever, unread until that is
	// tried again.
	unread, missed bool
	tokens         []*held
	now            Status
	fresh          bool     // the use that goes on wants the PIN of a person
	by             []Client // who waits for a use, the first one is served
}

func newPlace(k *Keeper, name string, changes uint16) *place {
	return &place{
		keeper: k, name: name, changes: changes, jobs: make(chan *job), over: make(chan struct{}), now: Status{Reader: name},
		pins: pins{keep: k.o.Cache, now: k.o.Access.Now, kept: map[string]kept{}, given: map[string]*secret.Bytes{}},
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
	defer close(p.over)
	for {
		select {
		case <-ctx.Done():
			return
		case first := <-p.jobs:
			if ctx.Err() != nil {
				first.done <- p.gone()
				return
			}
			err := p.open(ctx, func(ctx context.Context, s *session) error { return s.serve(ctx, first) })
			select {
			case first.done <- err: // it was not opened
			default:
			}
			if problem.Gone(err) {
				return
			}
		}
	}
}

// open opens the card, or the token.
func (p *place) open(ctx context.Context, work func(context.Context, *session) error) error {
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
// wanted it for a while. It ends when the card is another one, or cannot be reached.
func (s *session) serve(ctx context.Context, next *job) error {
	idle := time.NewTimer(s.place.keeper.o.Idle)
	defer idle.Stop()
	for {
		if next != nil {
			err := s.work(ctx, next)
			next.done <- err
			if problem.Gone(err) {
				return err
			}
			idle.Reset(s.place.keeper.o.Idle)
		}
		next = nil
		select {
		case <-ctx.Done():
			return nil
		case next = <-s.place.jobs:
			if ctx.Err() != nil {
				next.done <- s.place.gone()
				return nil
			}
		case <-idle.C:
			if err := s.release(); err != nil {
				return err
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
	var err error
	if p.pins.over() {
		err = s.release()
	}
	p.tell(func(now *Status) { now.Held = true })
	if err == nil {
		err = j.do(ctx, s)
	}
	if ctx.Err() != nil && j.ctx.Err() != nil {
		err = j.ctx.Err()
	}
	refused := problem.Is(err, problem.PINIncorrect) || problem.Is(err, problem.PINBlocked)
	p.pins.settle(err == nil, refused)
	p.tell(func(now *Status) { now.APDUs = uint64(s.here.Line.Sent()) })
	return err
}

// release lets the card go, without a verified PIN.
func (s *session) release() error {
	s.place.tell(func(now *Status) { now.Held = false })
	if s.place.module != "" {
		return nil
	}
	return s.here.Line.Release()
}

// letGo lets the card go for another program.
func (p *place) letGo(ctx context.Context) error {
	if p.module != "" || !p.status().Held {
		return nil
	}
	err := p.ask(ctx, func(_ context.Context, s *session) error { return s.here.Line.LetGo() })
	p.tell(func(now *Status) { now.Held = false })
	if problem.Gone(err) {
		return nil
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
	value, err := p.keeper.o.Access.Ask(ctx, q)
	if err == nil && value != nil && !fresh {
		p.pins.hold(q, value)
	}
	return value, err
}

// application is the card with one of its applications open.
func (s *session) application(ctx context.Context, app string) (card.Card, error) {
	if s.card != nil && s.app == app {
		return s.card, nil
	}
	c, err := s.here.Open(ctx, app)
	if err != nil {
		return nil, err
	}
	s.app, s.card = app, c
	return c, nil
}

// another has a person asked again for a PIN that was refused: the value that was refused
// is not sent again.
func (s *session) another(what pin.PIN) { s.here.Keys.Policy.Another(what) }

// inspect reads what is on the card, once.
func (p *place) inspect(ctx context.Context) {
	p.reading.Lock()
	defer p.reading.Unlock()
	p.mu.Lock()
	done := p.inspected
	p.mu.Unlock()
	if done {
		return
	}
	var tokens []*held
	err := p.ask(ctx, func(ctx context.Context, s *session) (err error) {
		tokens, err = s.read(ctx)
		return err
	})
	if err != nil {
		p.keeper.log(err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil && (key.Unreachable(ctx, err) || problem.Is(err, problem.NotFound)) {
		p.unread, p.missed = true, true
		return
	}
	if p.missed { // who asked before was told of no token
		p.keeper.again()
	}
	p.inspected, p.tokens = true, tokens
	for _, t := range tokens {
		p.now.Serial = cmp.Or(p.now.Serial, t.about.Serial)
	}
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
