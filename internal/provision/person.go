package provision

import (
	"context"
	"sync"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/secret"
)

// person is who sits at the desk: asked one question at a time, and told what happens in
// the readers, but not while a question is open. Readers do not wait for that.
type person struct {
	access desk.Access
	tell   func(Event)

	asked sync.Mutex // held while the person is asked
	turn  sync.Mutex // for what follows
	open  bool       // a question
	later []Event    // what happened meanwhile
}

// ask asks for a secret.
func (p *person) ask(ctx context.Context, q secret.Request) (value *secret.Bytes, err error) {
	if q.Waiting != nil { // the card is let go before the turn is waited for
		if err := q.Waiting(); err != nil {
			return nil, err
		}
		q.Waiting = nil
	}
	p.alone(func() { value, err = p.access.Ask(ctx, q) })
	return value, err
}

// confirm asks before something is lost.
func (p *person) confirm(ctx context.Context, q desk.Question) (err error) {
	if p.access.Confirm == nil {
		return nil
	}
	if q.Waiting != nil {
		if err := q.Waiting(); err != nil {
			return err
		}
		q.Waiting = nil
	}
	p.alone(func() { err = p.access.Confirm(ctx, q) })
	return err
}

// alone has nothing said meanwhile.
func (p *person) alone(work func()) {
	p.asked.Lock()
	defer p.asked.Unlock()
	p.turn.Lock()
	p.open = true
	p.turn.Unlock()
	work()
	p.turn.Lock()
	defer p.turn.Unlock()
	p.open = false
	for _, e := range p.later {
		p.tell(e)
	}
	p.later = nil
}

// hear is an event.
func (p *person) hear(e Event) {
	p.turn.Lock()
	defer p.turn.Unlock()
	switch {
	case p.tell == nil:
	case p.open:
		p.later = append(p.later, e)
	default:
		p.tell(e)
	}
}
