package agent

import (
	"hash/maphash"
	"slices"
	"sync"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
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
	// sent are the hashes of those of this use, refused of those that the card refused.
	seed          maphash.Seed
	sent, refused []uint64
	// left are the tries that PINs had after a refusal, by their names.
	left map[string]int
	// lapsed says that some were forgotten, which the card does not know yet.
	lapsed bool
}

type kept struct {
	value *secret.Bytes
	until time.Time // zero for ever; by the clock on the wall, which goes on in a suspended computer
}

// name is what a person is asked for.
func name(q secret.Request) string { return string(q.Name) + " " + q.Label }

// get is a copy of a PIN that was accepted; nil if there is none.
func (p *pins) get(q secret.Request) *secret.Bytes {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	if one, has := p.kept[name(q)]; has {
		p.sent = append(p.sent, p.hash(q, one.value))
		return one.value.Clone()
	}
	return nil
}

// hash tells values apart without keeping them.
func (p *pins) hash(q secret.Request, value *secret.Bytes) uint64 {
	return maphash.Bytes(p.seed, slices.Concat([]byte(name(q)+"\x00"), value.Reveal()))
}

// hold keeps what a person gave until it is known whether the card accepts it. What the card
// refused is refused here, too.
func (p *pins) hold(q secret.Request, value *secret.Bytes, keep bool) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	hash := p.hash(q, value)
	if slices.Contains(p.refused, hash) {
		return problem.New(problem.PINIncorrect, "wrong %s", q.Label).
			Because("The card refused the same value before, and it was not sent again.")
	}
	p.sent = append(p.sent, hash)
	if keep && p.keep != 0 {
		p.given[name(q)].Wipe()
		p.given[name(q)] = value.Kept()
	}
	return nil
}

// settle ends a use: what was given is kept if the card accepted it. After a refusal
// nothing is. A blocked PIN gets a new value.
func (p *pins) settle(err error) {
	incorrect, blocked := problem.Is(err, problem.PINIncorrect), problem.Is(err, problem.PINBlocked)
	if incorrect || blocked {
		p.drop()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case incorrect:
		p.refused = append(p.refused, p.sent...)
	case blocked || err == nil && len(p.sent) > 0:
		p.forgive()
	}
	p.sent = nil
	for of, value := range p.given {
		if err != nil {
			value.Wipe()
			continue
		}
		p.kept[of].value.Wipe()
		one := kept{value: value}
		if p.keep != Removal {
			one.until = p.now().Add(p.keep).Round(0)
		}
		p.kept[of] = one
	}
	clear(p.given)
}

// forgive has values sent again that were refused. It needs the lock.
func (p *pins) forgive() {
	p.refused = nil
	clear(p.left)
}

// doubted reports whether a PIN was refused last.
func (p *pins) doubted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.left) > 0
}

// count notes the tries that a PIN has left after a refusal.
func (p *pins) count(name string, left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left[name] = left
}

// risen reports whether a PIN that was refused has more tries left than it had then: another
// program verified or changed it, and what was refused may be right now.
func (p *pins) risen(name string, left int) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	before, refused := p.left[name]
	if !refused || left <= before {
		return false
	}
	p.forgive()
	return true
}

// any reports whether a PIN is kept.
func (p *pins) any() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	return len(p.kept) > 0
}

// drop forgets everything, and so does the card before its next use.
func (p *pins) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lapsed = true
	for _, value := range p.given {
		value.Wipe()
	}
	for _, one := range p.kept {
		one.value.Wipe()
	}
	clear(p.given)
	clear(p.kept)
}

// age forgets what is too old, which nobody has asked for.
func (p *pins) age() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
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

// over reports, once, whether a PIN was forgotten that the card may know.
func (p *pins) over() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.expire()
	lapsed := p.lapsed
	p.lapsed = false
	return lapsed
}
