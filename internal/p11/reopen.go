package p11

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/miekg/pkcs11"
)

// A token ends sessions: a network HSM after a while or when it fails over, a
// card when another program resets it. The session is then opened again, once,
// on the same token. Where the login ended too, the PIN that this token
// accepted is sent again, provided that nothing wrong was sent to it since: so
// it cannot cost a try. Nobody is logged in twice: where the login outlived the
// session, it is used.

// again makes a call that only reads, and makes it again where the token ended
// the session. It must not use handles from before.
func again[T any](ctx context.Context, s *Session, function string, f func() (T, error)) (T, error) {
	value, err := call(ctx, s.module, function, f)
	if !CodeOf(err).isLost() || s.reopen(ctx) != nil {
		return value, err
	}
	return call(ctx, s.module, function, f)
}

// reopen opens the session again, and logs in where it was logged in.
func (s *Session) reopen(ctx context.Context) error {
	m := s.module
	if s.reopened {
		return s.ended()
	}
	s.reopened = true
	if err := s.openAgain(ctx); err != nil {
		return err
	}
	// After that: the session is bound to the token that is seen now.
	if err := s.same(ctx); err != nil || !s.loggedIn {
		return err
	}
	state, err := call(ctx, m, "C_GetSessionInfo", func() (uint, error) { return m.library.sessionState(s.handle) })
	if err != nil || isUser(state) {
		return err
	}
	s.loggedIn = false
	switch pin := s.token.UserPIN; {
	case s.refusal != nil, pin.CountLow, pin.FinalTry, pin.Locked:
		return s.ended()
	case s.pin.Len() == 0 && !s.token.PINPad: // the program was logged in before
		return s.ended()
	}
	return s.LoginWith(ctx, User, s.pin)
}

func (s *Session) openAgain(ctx context.Context) error {
	m, open := s.module, s.module.library.openSession
	if s.canWrite {
		open = m.library.openWritable
	}
	handle, err := call(ctx, m, "C_OpenSession", func() (session, error) { return open(s.token.Slot) })
	if err == nil {
		s.handle = handle
	}
	return err
}

// isUser reports whether a CK_STATE is one of a user that is logged in, for
// reading or for writing.
func isUser(state uint) bool {
	const readOnly, readWrite = 1, 3 // CKS_RO_USER_FUNCTIONS, CKS_RW_USER_FUNCTIONS
	return state == readOnly || state == readWrite
}

func (s *Session) ended() error {
	return problem.New(problem.CardBusy, "the token %q ended the session", s.token.Label).
		Because("The token is still there; another program may have reset it.").
		Advise(advice.Do(advice.Diagnose))
}

// loggedOut reports whether an operation failed because the login ended with the
// session, or without it.
func (s *Session) loggedOut(code Code) bool {
	return code.isLost() || code == pkcs11.CKR_USER_NOT_LOGGED_IN && s.loggedIn
}

// renew finds the key again after its session had to be opened again. Handles
// of objects are good for one session.
func (k *Key) renew(ctx context.Context) error {
	s := k.session
	if err := s.reopen(ctx); err != nil {
		return err
	}
	again, err := s.KeyOf(ctx, StoredKey{Public: k.public, ID: k.id, Label: k.label})
	if err == nil {
		k.handle = again.handle
	}
	return err
}
