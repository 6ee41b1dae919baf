package p11kit

import (
	"context"
	"slices"
	"sync"

	"github.com/cardctl/cardctl/internal/agent"
)

// Options are what a person chose.
type Options struct {
	// NeedsLogin makes tokens require a login: private keys are found and used after C_Login
	// only. Without it the PIN is asked for when a key is used.
	NeedsLogin bool
	// Version is that of the program, such as 1.4.2.
	Version string
}

// Cards are what all clients share: the slots, and the objects of the tokens in them.
//
// A slot is a place for a token. A token that comes gets the place where the same card was,
// or a free one; one is always free, for programs that know the slots from their start and
// look again which of them has a token.
type Cards struct {
	tokens  agent.Tokens
	options Options

	mu      sync.Mutex
	known   bool // version and slots are those of a look at the tokens
	version uint64
	slots   []*slot
}

// slot is a place. Its fields change under the lock of Cards.
type slot struct {
	id   uint64
	last agent.About // of the token that was in it last
	slotted
}

// slotted is a token in its slot, without a token if the slot is empty.
type slotted struct {
	token   agent.Token
	objects *objects
}

// NewCards shares tokens among clients.
func NewCards(tokens agent.Tokens, o Options) *Cards { return &Cards{tokens: tokens, options: o} }

// look returns the slots by their IDs, which count from 1, as they are now.
func (c *Cards) look(ctx context.Context) ([]slot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if version := c.tokens.Version(); !c.known || version != c.version {
		tokens, err := c.tokens.All(ctx)
		if err != nil {
			return nil, err
		}
		var all []agent.Token
		for _, token := range tokens {
			all = append(all, partsOf(ctx, token)...)
		}
		c.seat(all)
		c.known, c.version = true, version
	}
	seen := make([]slot, 0, len(c.slots))
	for _, s := range c.slots {
		seen = append(seen, *s)
	}
	return seen, nil
}

// seat gives every token a place.
func (c *Cards) seat(all []agent.Token) {
	for _, s := range c.slots {
		if s.token != nil && !slices.ContainsFunc(all, s.has) {
			s.slotted = slotted{}
		}
	}
	for _, token := range all {
		if slices.ContainsFunc(c.slots, func(s *slot) bool { return s.has(token) }) {
			continue
		}
		place := c.place(token.About())
		place.last = token.About()
		place.slotted = slotted{token, &objects{}}
	}
	c.place(agent.About{})
}

// has reports whether a token is in the slot.
func (s *slot) has(token agent.Token) bool {
	return s.token != nil && s.token.About().Number == token.About().Number && s.token.About().Label == token.About().Label
}

// place is a free slot.
func (c *Cards) place(about agent.About) *slot {
	free := func(s *slot) bool { return s.token == nil }
	i := slices.IndexFunc(c.slots, func(s *slot) bool {
		return free(s) && s.last.Kind == about.Kind && s.last.Serial == about.Serial && s.last.Label == about.Label
	})
	if i < 0 {
		i = slices.IndexFunc(c.slots, free)
	}
	if i < 0 {
		i = len(c.slots)
		c.slots = append(c.slots, &slot{id: uint64(i) + 1})
	}
	return c.slots[i]
}

// slot finds one by its ID.
func (c *Cards) slot(ctx context.Context, id uint64) (slot, rv) {
	all, err := c.look(ctx)
	if err != nil {
		return slot{}, valueOf(err)
	}
	if id == 0 || id > uint64(len(all)) {
		return slot{}, ckrSlotIDInvalid
	}
	return all[id-1], ckrOK
}

// occupied finds a slot that has a token.
func (c *Cards) occupied(ctx context.Context, id uint64) (slot, rv) {
	s, code := c.slot(ctx, id)
	if code == ckrOK && s.token == nil {
		return s, ckrTokenNotPresent
	}
	return s, code
}
