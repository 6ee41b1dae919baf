package p11kit

import (
	"context"

	"github.com/cardctl/cardctl/internal/agent"
)

// Limits of a client.
const (
	maxSessions = 1024
	maxSecrets  = 1024 // secrets that were agreed on
	maxWaiting  = 16   // calls of C_WaitForSlotEvent
)

// client is an application (section 3, general overview): its sessions and logins are its own.
type client struct {
	cards *Cards
	by    agent.Client

	initialized bool
	sessions    map[uint64]*session
	last        uint64          // the handle given last, of a session or a secret
	logins      map[uint64]bool // slots by ID
	secrets     map[uint64]*agreement
	watch       watch
}

// session is one with a token.
type session struct {
	handle uint64
	slot   slot
	write  bool

	found     []uint64 // what C_FindObjects has still to tell
	finding   bool
	digesting *input
	signing   *operation
	verifying *operation
	decrypt   *decryption
	encrypt   *encryption
}

func newClient(cards *Cards, by agent.Client) *client {
	return &client{cards: cards, by: by, sessions: map[uint64]*session{}, logins: map[uint64]bool{}, secrets: map[uint64]*agreement{}}
}

// next is a handle that was not given before; those of token objects are smaller.
func (c *client) next() uint64 {
	c.last++
	return firstHandle + c.last
}

// firstHandle is above the handles of a token's objects, and fits a CK_ULONG of 32 bits.
const firstHandle = 1 << 16

// session finds a session by its handle. Those of a token that was removed end here.
func (c *client) session(ctx context.Context, handle uint64) (*session, rv) {
	s := c.sessions[handle]
	if s == nil {
		return nil, ckrSessionHandleInvalid
	}
	now, code := c.cards.slot(ctx, s.slot.id)
	if code != ckrOK {
		return nil, code
	}
	if !now.has(s.slot.token) {
		c.closeAll(s.slot.id)
		return nil, ckrDeviceRemoved
	}
	return s, ckrOK
}

// close ends a session. The login ends with the last session with a token.
func (c *client) close(s *session) {
	delete(c.sessions, s.handle)
	for handle, secret := range c.secrets {
		if secret.of == s {
			delete(c.secrets, handle)
		}
	}
	if c.count(s.slot.id) == 0 {
		delete(c.logins, s.slot.id)
	}
}

func (c *client) closeAll(slot uint64) {
	for _, s := range c.sessions {
		if s.slot.id == slot {
			c.close(s)
		}
	}
}

// count is how many sessions there are with the token in a slot.
func (c *client) count(slot uint64) (n int) {
	for _, s := range c.sessions {
		if s.slot.id == slot {
			n++
		}
	}
	return n
}
