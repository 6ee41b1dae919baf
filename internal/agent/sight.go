package agent

import (
	"cmp"
	"context"
	"errors"
	"reflect"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

const (
	// readTime is how long anybody waits for a card that is read for the first time.
	readTime = 10 * time.Second
	// mostReads is how often a card is read that answers with errors.
	mostReads = 3
	// longestPause is the longest time between two tries to reach a card.
	longestPause = 5 * time.Second
	// restTime is how long a card is left to the commands of others, once one has used it.
	restTime = time.Second
)

// sight is how far the place was read.
type sight struct {
	done   bool
	going  chan struct{} // closed when the reading that goes on has ended; nil for none
	begun  time.Time
	failed int       // how often it was in vain, one after the other
	again  time.Time // when it is tried again; zero for when somebody asks
	stale  bool      // somebody may have written to the card since
	missed bool      // somebody was told of no token meanwhile
	over   bool      // the card is not there any more
	said   string    // the last error that was logged
}

// inspect reads what is on the card, unless that is done, and returns when nobody has to wait
// for it any longer.
func (p *place) inspect(ctx context.Context) {
	going, left := p.reading()
	if going == nil {
		return
	}
	late := time.NewTimer(left)
	defer late.Stop()
	select {
	case <-going:
		return
	case <-late.C:
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sight.missed = true
}

// reading begins to read the card, unless that goes on, and tells how long it is waited for.
func (p *place) reading() (going <-chan struct{}, left time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.sight.over || p.sight.done || p.sight.going == nil && p.sight.failed >= mostReads && now.Before(p.sight.again) {
		return nil, 0
	}
	if p.sight.going == nil {
		p.sight.going, p.sight.begun, p.sight.stale = make(chan struct{}), now, false
		p.readers.Go(p.read)
	}
	return p.sight.going, readTime - now.Sub(p.sight.begun)
}

// read reads the card.
func (p *place) read() {
	err := p.ask(p.life, func(ctx context.Context, s *session) error {
		tokens, err := s.read(ctx)
		if err == nil || !key.Unreachable(ctx, err) {
			p.adopt(tokens)
		}
		return err
	})
	if problem.Gone(err) {
		<-p.over
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	said := ""
	if err != nil {
		said = err.Error()
	}
	if said != p.sight.said && p.life.Err() == nil {
		p.keeper.log(err)
	}
	p.sight.said = said
	close(p.sight.going)
	p.sight.going = nil
	switch {
	case err == nil:
		p.sight.done = !p.sight.stale
	case key.Unreachable(p.life, err) || problem.Is(err, problem.NotFound):
		p.fail()
	default:
		p.fail()
		p.sight.done = p.sight.failed >= mostReads
	}
	if p.sight.done && p.sight.missed { // who asked before was told of no token
		p.sight.missed = false
		p.keeper.again()
	}
}

// fail has it tried again later, and later each time. It needs the lock.
func (p *place) fail() {
	p.sight.missed = true
	p.sight.again = time.Now().Add(min(lookTime<<min(p.sight.failed, 10), longestPause))
	p.sight.failed++
}

// adopt has the place show tokens that were read. One that is as it was stays the same.
func (p *place) adopt(tokens []*held) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.tokens
	p.tokens = nil
	for _, t := range tokens {
		if i := slices.IndexFunc(before, t.like); i >= 0 {
			before[i].about.Tries = t.about.Tries
			t = before[i]
		}
		p.tokens = append(p.tokens, t)
		p.now.Serial = cmp.Or(p.now.Serial, t.about.Serial)
	}
	if before != nil && !slices.Equal(before, p.tokens) {
		p.keeper.again()
	}
}

// like reports whether a token is known to programs as another one is.
func (t *held) like(other *held) bool {
	a, b := t.about, other.about
	a.Number, a.Tries, b.Number, b.Tries = 0, nil, 0, nil
	return t.app == other.app && reflect.DeepEqual(a, b) && slices.EqualFunc(t.keys, other.keys, func(a, b *heldKey) bool {
		return reflect.DeepEqual(a.about, b.about)
	})
}

// blind ends the reading of a card that is not there any more.
func (p *place) blind() {
	p.mu.Lock()
	p.sight.over = true
	p.mu.Unlock()
	p.readers.Wait()
}

// errReplaced is the error of a key that is not on the card any more.
var errReplaced = errors.New("another key is in its place")

func (p *place) replaced() error {
	return problem.New(problem.CardRemoved, "the keys in %s are other ones now", p.name)
}

// has reports whether a token is there.
func (p *place) has(t *held) bool {
	select {
	case <-p.over:
		return false
	default:
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Contains(p.tokens, t)
}

// doubt has a card read again that somebody else may have written to: when somebody
// asks, or by itself after a while.
func (p *place) doubt(bySelf bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sight.done, p.sight.stale, p.sight.failed, p.sight.again = false, true, 0, time.Time{}
	if bySelf && p.tokens != nil {
		p.sight.again = time.Now().Add(restTime)
	}
}

// retry reads a card again whose time has come.
func (p *place) retry() {
	p.mu.Lock()
	due := !p.sight.again.IsZero() && !time.Now().Before(p.sight.again)
	if due {
		p.sight.again = time.Time{}
	}
	p.mu.Unlock()
	if due {
		p.reading()
	}
}
