package p11

import (
	"bytes"
	"context"
	"errors"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/miekg/pkcs11"
)

// LoginWith is one C_Login on the token that the session was opened for. The PIN
// is nil where it is typed at the reader; a copy of one that the user has is kept
// while the session lasts, and the caller wipes his own. It does not look at the
// tries left: PINState does. A PIN that was not accepted ends it: the session
// sends none after that, whatever the answer was. Such an error has a *PINError
// in its chain.
func (s *Session) LoginWith(ctx context.Context, r Role, pin *secret.Bytes) error {
	if s.loggedIn && r == User {
		return nil
	}
	if s.refusal != nil {
		return s.refusal
	}
	if !s.isRecent() {
		if err := s.ready(ctx); err != nil {
			return err
		}
		if s.loggedIn && r == User { // again, in a session that had ended
			return nil
		}
	}
	return s.send(ctx, r, pin)
}

// SharePIN says that all tokens of the card have this one PIN: Key may take it
// to those that show the key too. Those of an OpenPGP card have: they are PW1 by
// its two numbers.
func (s *Session) SharePIN() { s.sharedPIN = true }

// OnPINPad has the user told that a PIN is to be typed at the reader.
func (s *Session) OnPINPad(notify func(message string)) { s.notify = notify }

// send sends the PIN, once.
func (s *Session) send(ctx context.Context, r Role, pin *secret.Bytes) error {
	if s.token.PINPad && s.notify != nil {
		s.notify("Enter the PIN of the token " + onPrompt(s.token.Label) + " on the reader.")
	}
	s.looked = time.Time{}
	_, err := callWithPIN(ctx, s.module, "C_Login", pin, func(pin []byte) (struct{}, error) {
		return struct{}{}, s.module.library.login(s.handle, uint(r), pin)
	})
	switch {
	case err == nil:
		s.accept(r, pin)
		return nil
	case CodeOf(err) == pkcs11.CKR_USER_ALREADY_LOGGED_IN:
		s.loggedIn = true // and nothing was said of the PIN
		return nil
	case !begun(err):
		return err // nothing was sent
	}
	s.refusal = s.module.pinFailed(ctx, s.token, r, "C_Login", err)
	return s.refusal
}

// accept keeps the PIN of a user who is logged in.
func (s *Session) accept(r Role, pin *secret.Bytes) {
	s.loggedIn = true
	s.touch()
	if r == User && pin != s.pin && pin.Len() > 0 {
		s.pin.Wipe()
		s.pin = secret.New(bytes.Clone(pin.Reveal()))
	}
}

// withPIN makes a call that logs in for one use of a key
// (CKA_ALWAYS_AUTHENTICATE) with the PIN that this token accepted. Once a login
// ended otherwise, there is none any more.
func withPIN[T any](ctx context.Context, s *Session, function string, f func(pin []byte) (T, error)) (T, error) {
	var none T
	switch {
	case s.refusal != nil:
		return none, s.refusal
	case s.pin.Len() == 0 && !s.token.PINPad:
		return none, problem.New(problem.Failed, "the token %q needs the PIN for every use of this key", s.token.Label).
			Because("cardctl was already logged in, so it has no PIN that this token accepted.").
			Advise(advice.Repeat())
	}
	if !s.isRecent() {
		if err := s.same(ctx); err != nil {
			return none, err
		}
	}
	value, err := callWithPIN(ctx, s.module, function, s.pin, f)
	var failed *CallError
	if err == nil {
		s.touch()
	} else if begun(err) && (!errors.As(err, &failed) || failed.Function == "C_Login") {
		s.refusal = err
	}
	return value, err
}

// loginAgain is the login between the beginning and the end of an operation. It
// is part of a call.
func (s *Session) loginAgain(pin []byte) error {
	const contextSpecific = 2 // CKU_CONTEXT_SPECIFIC
	return s.module.library.login(s.handle, contextSpecific, pin)
}
