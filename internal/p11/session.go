package p11

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Session is an open session on one token. Close ends it.
type Session struct {
	module *Module
	token  Token
	handle session

	wanted Wanted
	found  Found
	// others are tokens of the same card that show the key too.
	others []Token
	// alone names this token and no other of the module; the zero URI where that cannot
	// be.
	alone URI

	mechanisms mechanisms

	closed   bool
	canWrite bool
	loggedIn bool
	// seen is when the token was last seen to be the one that is meant, by a
	// look at it or an answer of its session.
	seen time.Time
	// proved is when an object that this session made was read.
	proved time.Time
	// looked is when the token was last looked at, zero once a PIN was sent.
	looked time.Time
	// pin is the one that the token accepted. It is kept while the session
	// lasts, for keys that want it again for every use
	// (CKA_ALWAYS_AUTHENTICATE), and for the card's other tokens where it is
	// theirs too.
	pin       *secret.Bytes
	sharedPIN bool
	notify    func(message string)
	// reopened says that the token ended the session once.
	reopened bool
	// judged is the last failure that was looked into.
	judged *CallError
	// refusal is what became of a PIN that was not accepted in this session:
	// none is sent again.
	refusal error
}

// open opens a session, and then looks whether the token that it is bound to is
// the one that was chosen.
func (m *Module) open(ctx context.Context, t Token) (*Session, error) {
	handle, err := call(ctx, m, "C_OpenSession", func() (session, error) {
		return m.library.openSession(t.Slot)
	})
	if err != nil {
		return nil, err
	}
	s := &Session{module: m, token: t, handle: handle}
	if err := s.same(ctx); err != nil {
		_ = s.Close()
		return nil, err
	}
	return s, nil
}

// Token is the token that the session is on.
func (s *Session) Token() Token { return s.token }

// Found is what the token shows of the wanted key.
func (s *Session) Found() Found { return s.found }

// Close logs out, so that the card does not keep a verified PIN, ends the
// session and wipes the PIN. It may be called on nil and more than once, and
// takes three seconds at most.
func (s *Session) Close() error {
	if s == nil || s.closed {
		return nil
	}
	m := s.module
	s.closed = true
	s.pin.Wipe()
	if m.lost.Load() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	return s.end(ctx)
}

// end is the end of a session on one token. Where the card is gone, so is the
// verified PIN, and there is nothing to end.
func (s *Session) end(ctx context.Context) error {
	m := s.module
	var err error
	if s.loggedIn {
		err = m.do(ctx, "C_Logout", func() error { return m.library.logout(s.handle) })
	}
	err = errors.Join(err, m.do(ctx, "C_CloseSession", func() error { return m.library.closeSession(s.handle) }))
	if CodeOf(err).isLost() {
		return nil // the token ended it, and the login with it
	}
	if err = s.judge(ctx, err); problem.Gone(err) {
		return nil
	}
	return err
}

func (s *Session) touch() { s.seen = time.Now() }

// judge finds out whether an error that may mean anything means that the card
// was taken out. Modules have no common code for that, OpenSC returns
// CKR_GENERAL_ERROR, and a reader takes its time to notice.
func (s *Session) judge(ctx context.Context, err error) error {
	var failed *CallError
	if !errors.As(err, &failed) || failed == s.judged || isTold(err) {
		return err
	}
	s.judged = failed
	return s.module.judge(ctx, s.token, err)
}

// judge looks for the token in its slot.
func (m *Module) judge(ctx context.Context, t Token, err error) error {
	const looks, pause = 8, 100 * time.Millisecond
	var failed *CallError
	if !errors.As(err, &failed) || !failed.Code.isVague() {
		return err
	}
	if _, lookErr := m.Look(ctx, t); problem.Gone(lookErr) {
		return because(lookErr, failed)
	}
	for range looks {
		// OpenSC keeps its answer to C_GetTokenInfo, and looks only here.
		slots, listErr := call(ctx, m, "C_GetSlotList", m.library.slots)
		if listErr == nil && !slices.Contains(slots, t.Slot) {
			return m.removed(failed)
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return err
		}
	}
	return err
}

// LoggedIn reports whether the session needs no login any more.
func (s *Session) LoggedIn() bool { return s.loggedIn }

// Continue makes the session go on with what next, which Find returned, was
// opened for, so that no PIN is needed again. It is false, and next stays open,
// where that is on another token with a PIN of its own; else next is closed.
func (s *Session) Continue(ctx context.Context, next *Session) (bool, error) {
	places := append([]Token{next.token}, next.others...)
	here := slices.IndexFunc(places, func(t Token) bool {
		return t.Slot == s.token.Slot && t.identity(t.placed) == s.token.identity(t.placed)
	})
	if here < 0 && !(s.sharedPIN && sameCard([]Token{s.token, next.token})) {
		return false, nil
	}
	if err := next.Close(); err != nil {
		return true, err
	}
	s.wanted, s.found, s.others = next.wanted, next.found, places
	if here < 0 {
		return true, s.moveOn(ctx)
	}
	s.others = slices.Delete(places, here, here+1)
	return true, nil
}

// moveOn ends the session and opens it again on the next token of the card.
func (s *Session) moveOn(ctx context.Context) error {
	if err := s.end(ctx); err != nil {
		return err
	}
	next, err := s.module.open(ctx, s.others[0])
	if err != nil {
		s.closed = true
		s.pin.Wipe()
		return err
	}
	s.token, s.handle, s.others, s.loggedIn = next.token, next.handle, s.others[1:], false
	if s.token.LoginRequired {
		if err := s.LoginWith(ctx, User, s.pin); err != nil {
			return err
		}
	}
	return s.look(ctx, s.wanted)
}
