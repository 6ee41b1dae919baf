package agent

import (
	"sync"
	"time"

	"github.com/cardctl/cardctl/internal/secret"
)

// pins are the PINs that a card accepted, by what a person is asked for.
type pins struct {
	keep time.Duration // 0 for not at all, Removal for ever
	now  func() time.Time

	mu   sync.Mutex
	kept map[string]kept
	// given are those of the use that goes on: whether the card accepts them is not known.
	given map[string]*secret.Bytes
	// lapsed says that one has become too old, which the card does not know yet.
	lapsed bool
}

type kept struct {
	value *secret.Bytes
	until time.Time // zero for ever
}

// name is what a person is asked for.
func name(q secret.Request) string { return string(q.Name) + " " + q.Label }

// get is a copy of a PIN that was accepted; nil if there is none.
func (p *pins) get(q secret.Request) *secret.Bytes {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	if one, has := p.kept[name(q)]; has {
		return one.value.Clone()
	}
	return nil
}

// hold keeps what a person gave until it is known whether the card accepts it.
func (p *pins) hold(q secret.Request, value *secret.Bytes) {
	if p.keep == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.given[name(q)].Wipe()
	p.given[name(q)] = value.Clone()
}

// settle ends a use: what was given is kept if the card accepted it. After a refusal
// nothing is.
func (p *pins) settle(accepted, refused bool) {
	if refused {
		p.drop()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for of, value := range p.given {
		if !accepted {
			value.Wipe()
			continue
		}
		p.kept[of].value.Wipe()
		one := kept{value: value}
		if p.keep != Removal {
			one.until = p.now().Add(p.keep)
		}
		p.kept[of] = one
	}
	clear(p.given)
}

// any reports whether a PIN is kept.
func (p *pins) any() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	return len(p.kept) > 0
}

// drop forgets everything.
func (p *pins) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, value := range p.given {
		value.Wipe()
	}
	for _, one := range p.kept {
		one.value.Wipe()
	}
	clear(p.given)
	clear(p.kept)
}

// expire needs the lock.
func (p *pins) expire() {
	for of, one := range p.kept {
		if !one.until.IsZero() && !p.now().Before(one.until) {
			one.value.Wipe()
			delete(p.kept, of)
			p.lapsed = true
		}
	}
}

// over reports, once, whether a PIN has become too old.
func (p *pins) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	lapsed := p.lapsed
	p.lapsed = false
	return lapsed
}
