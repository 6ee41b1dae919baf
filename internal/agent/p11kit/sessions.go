package p11kit

import (
	"context"

	"github.com/cardctl/cardctl/internal/agent"
)

// openSession is C_OpenSession (section 5.6). Programs open read/write sessions with tokens
// that they do not write to, so these are allowed; every change is refused.
func (c *client) openSession(ctx context.Context, a arguments, w *writer) rv {
	s, code := c.cards.occupied(ctx, a.numbers[0])
	switch flags := a.numbers[1]; {
	case code != ckrOK:
		return code
	case flags&ckfSerialSession == 0:
		return ckrSessionParallelUnsupported
	case len(c.sessions) == maxSessions:
		return ckrSessionCount
	}
	for _, other := range c.sessions { // of a token that was there before
		if other.slot.id == s.id && !s.has(other.slot.token) {
			c.close(other)
		}
	}
	opened := &session{handle: c.next(), slot: s, write: a.numbers[1]&ckfRWSession != 0}
	c.sessions[opened.handle] = opened
	w.ulong(opened.handle)
	return ckrOK
}

// closeSession is C_CloseSession (section 5.6).
func (c *client) closeSession(_ context.Context, s *session, _ arguments, _ *writer) rv {
	c.close(s)
	return ckrOK
}

// closeAllSessions is C_CloseAllSessions (section 5.6).
func (c *client) closeAllSessions(ctx context.Context, a arguments, _ *writer) rv {
	if _, code := c.cards.slot(ctx, a.numbers[0]); code != ckrOK {
		return code
	}
	c.closeAll(a.numbers[0])
	return ckrOK
}

// getSessionInfo is C_GetSessionInfo (section 5.6).
func (c *client) getSessionInfo(_ context.Context, s *session, _ arguments, w *writer) rv {
	state, flags := uint64(cksROPublicSession), uint64(ckfSerialSession)
	loggedIn := c.logins[s.slot.id]
	switch {
	case s.write && loggedIn:
		state = cksRWUserFunctions
	case s.write:
		state = cksRWPublicSession
	case loggedIn:
		state = cksROUserFunctions
	}
	if s.write {
		flags |= ckfRWSession
	}
	w.ulong(s.slot.id)
	w.ulong(state)
	w.ulong(flags)
	w.ulong(0) // no error of the device
	return ckrOK
}

// login is C_Login (section 5.6). The PIN is asked for by the agent, for the token has a
// protected authentication path: a PIN that the program sends is bad, and goes nowhere.
func (c *client) login(ctx context.Context, s *session, a arguments, _ *writer) rv {
	switch user := a.numbers[1]; {
	case user == ckuUser && c.logins[s.slot.id]:
		return ckrUserAlreadyLoggedIn
	case user == ckuSO:
		return c.loginOfSO(s)
	}
	if len(a.arrays[0]) > 0 {
		return ckrArgumentsBad
	}
	switch a.numbers[1] {
	case ckuUser:
		if err := agent.Login(ctx, s.slot.token, c.by); err != nil {
			return valueOf(err)
		}
		c.logins[s.slot.id] = true
		return ckrOK
	case ckuContextSpecific: // the key asks by itself when it is used
		if s.signing == nil && s.decrypt == nil {
			return ckrOperationNotInitialized
		}
		return ckrOK
	}
	return ckrUserTypeInvalid
}

// loginOfSO says why the security officer does not log in.
func (c *client) loginOfSO(s *session) rv {
	switch {
	case c.logins[s.slot.id]:
		return ckrUserAnotherLoggedIn
	case c.count(s.slot.id) > c.countWrite(s.slot.id):
		return ckrSessionReadOnlyExists
	}
	return ckrUserTypeInvalid
}

// logout is C_Logout (section 5.6). The agent keeps the PIN, which other programs use too.
func (c *client) logout(_ context.Context, s *session, _ arguments, _ *writer) rv {
	if !c.logins[s.slot.id] {
		return ckrUserNotLoggedIn
	}
	delete(c.logins, s.slot.id)
	return ckrOK
}
