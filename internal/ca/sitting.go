package ca

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/secret"
)

// Sittings are CAs whose keys stay open from one certificate to the next: a password or a
// PIN is asked for once, and a card is opened once. They may be used by several at once.
// Close ends them.
type Sittings struct {
	turn sync.Mutex
	of   map[string]*sitting
	// sent is what became of the PINs of CAs and officers, by what names their cards.
	sent map[string]*pin.Memory
	// officers is held while the card of one is used.
	officers chan struct{}
}

// NewSittings has no CA open.
func NewSittings() *Sittings {
	return &Sittings{of: map[string]*sitting{}, sent: map[string]*pin.Memory{}, officers: make(chan struct{}, 1)}
}

// Officer has the card of an officer used, by one at a time: a PIN that it has not accepted
// is not sent for the next one. The card is what is meant, whatever its key.
func (s *Sittings) Officer(ctx context.Context, card desk.Selection, a desk.Access, use func(desk.Access) error) error {
	if s == nil {
		return use(a)
	}
	select {
	case s.officers <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-s.officers }()
	s.turn.Lock()
	a.Sent = s.memory(fmt.Sprintf("officer %+v", card))
	s.turn.Unlock()
	return use(a)
}

// memory is of the PINs of a card. It needs the turn.
func (s *Sittings) memory(card string) *pin.Memory {
	if s.sent[card] == nil {
		s.sent[card] = pin.NewMemory()
	}
	return s.sent[card]
}

// Issue is that of the parent, whose key stays open; nil has none stay open.
func (s *Sittings) Issue(ctx context.Context, p Parent, o Order, now time.Time) (issued Issued, err error) {
	if s == nil {
		return p.Issue(ctx, o, now)
	}
	directory, err := filepath.Abs(p.Directory)
	if err != nil {
		return issued, err
	}
	s.turn.Lock() // one certificate at a time: they share a key
	defer s.turn.Unlock()
	at := s.of[directory]
	if at == nil {
		p.Access.Sent = s.memory("CA " + directory)
		if at, err = begin(ctx, p); err != nil {
			return issued, err
		}
		s.of[directory] = at
	}
	issued, failed, err := at.issue(ctx, p, o, now)
	if failed { // the next one opens the key anew
		delete(s.of, directory)
		err = errors.Join(err, at.close())
	}
	return issued, err
}

// Close ends all sittings, and lets cards go.
func (s *Sittings) Close() error {
	s.turn.Lock()
	defer s.turn.Unlock()
	var err error
	for directory, at := range s.of {
		delete(s.of, directory)
		err = errors.Join(err, at.close())
	}
	return err
}

// sitting is a CA whose key is open in a goroutine of its own: a card is held by a function
// that has not returned.
type sitting struct {
	ca     *CA
	parent Parent
	orders chan sitOrder
	over   chan struct{}
	cancel context.CancelFunc
	wipe   func()
}

// sitOrder is a certificate that was checked.
type sitOrder struct {
	ctx   context.Context
	draft *draft
	now   time.Time
	done  chan<- sitAnswer
}

type sitAnswer struct {
	issued Issued
	err    error
}

// begin opens a CA. Its key is opened when the first certificate is to be signed.
func begin(ctx context.Context, p Parent) (*sitting, error) {
	c, err := Open(ctx, p.Directory)
	if err != nil {
		return nil, err
	}
	at := &sitting{ca: c, parent: p, orders: make(chan sitOrder), over: make(chan struct{})}
	at.parent.Access = IssuersAccess(p.Access)
	at.parent.Access.Ask, at.wipe = secret.Again(at.parent.Access.Ask)
	ctx, at.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(at.over)
		at.sit(ctx)
	}()
	return at, nil
}

// issue checks an order, and has it signed and stored. failed says that the sitting is over.
func (at *sitting) issue(ctx context.Context, p Parent, o Order, now time.Time) (issued Issued, failed bool, err error) {
	drafted, err := at.ca.draft(ctx, p.Access, &o, map[string]bool{}, now)
	if err != nil {
		return issued, false, err
	}
	done := make(chan sitAnswer, 1)
	at.orders <- sitOrder{ctx, &drafted, now, done}
	answer := <-done
	return answer.issued, answer.err != nil, IssuersAdvice(answer.err, "the issuer "+p.Directory)
}

func (at *sitting) close() error {
	close(at.orders)
	<-at.over
	at.cancel()
	at.wipe()
	return at.ca.Close()
}

// idle is how long a card is held for the next certificate.
const idle = 3 * time.Second

// sit signs and stores what is ordered, until nothing more is, or the key fails.
func (at *sitting) sit(ctx context.Context) {
	order, open := <-at.orders
	if !open {
		return
	}
	err := at.ca.sign(ctx, at.parent.Desk, at.parent.Access, func(_ context.Context, signer crypto.Signer) (err error) {
		for open {
			var answer sitAnswer
			if answer.issued, answer.err = at.ca.finish(order.ctx, signer, order.draft, order.now); answer.err != nil {
				return answer.err
			}
			order.done <- answer
			if order, open, err = at.next(ctx, signer); err != nil {
				return err
			}
		}
		return nil
	})
	if open {
		order.done <- sitAnswer{err: err}
	}
}

// next is the next order. A card is let go when none comes for a while.
func (at *sitting) next(ctx context.Context, signer crypto.Signer) (sitOrder, bool, error) {
	own, _ := signer.(verified)
	if own.pause == nil {
		order, open := <-at.orders
		return order, open, nil
	}
	select {
	case order, open := <-at.orders:
		return order, open, nil
	case <-time.After(idle):
	}
	failed := own.pause(ctx)
	order, open := <-at.orders
	if !open {
		return order, open, nil
	}
	return order, open, failed
}
