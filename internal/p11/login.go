package p11

import (
	"context"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/miekg/pkcs11"
)

// Login is what a login needs from the caller.
type Login struct {
	Ask secret.Asker
	// Holder says at a prompt whose PIN it is: "OpenPGP card 000F12345678".
	Holder string
	// Tries reads from the card how many tries the PIN has left. It may be
	// nil: then the token's flags have to do, which tell less.
	Tries func(ctx context.Context) (int, error)
	// AllowLastTry permits the PIN to be sent when one try is left.
	AllowLastTry bool
	// SharedPIN says that all tokens of the card have this one PIN. Those of
	// an OpenPGP card do: they are PW1 by its two numbers.
	SharedPIN bool
	// DerivedPIN says that the card takes its PINs in key derived format
	// (OpenPGP, DO F9). No module that takes the PIN is known to make it: a
	// right PIN would count as a wrong one.
	DerivedPIN bool
	// Notify tells the user that the PIN is to be typed at the reader. It may
	// be nil.
	Notify func(message string)
}

// Login logs in as the user, once: a wrong PIN is not tried again. The tries
// left are looked at before the PIN is asked for, and its length before it is
// sent. A token that wants no login gets none.
func (s *Session) Login(ctx context.Context, l Login) error {
	m := s.module
	t, err := call(ctx, m, "C_GetTokenInfo", func() (Token, error) { return m.state(s.token.Slot) })
	if err != nil {
		return err
	}
	t.Mechanisms = s.token.Mechanisms
	s.token, s.notify = t, l.Notify
	if !t.LoginRequired || s.loggedIn {
		return nil
	}
	if l.DerivedPIN && !t.PINPad {
		return problem.New(problem.NotSupported, "%s: the user PIN cannot be sent through this module", m.name()).
			Because("The card takes its PINs in key derived format (KDF), and the module does not make it: the card would count a right PIN as a wrong one.").
			Hint("--module scute, which leaves the PIN to GnuPG, or switch the format off with kdf-setup off in gpg --card-edit")
	}
	before, err := l.triesLeft(ctx, t)
	if err != nil {
		return err
	}
	if err := before.check(m.name(), l.AllowLastTry); err != nil {
		return err
	}
	if t.PINPad {
		return s.loginResult(ctx, l, before, s.loginAtReader(ctx))
	}
	pin, err := l.Ask(ctx, secret.Request{Name: secret.PIN, Label: l.label(t), Note: before.note()})
	if err != nil {
		return err
	}
	if err := checkLength(pin, t); err != nil {
		pin.Wipe()
		return err
	}
	err = s.login(ctx, pin)
	if err != nil {
		pin.Wipe()
	} else {
		s.pin, s.sharedPIN = pin, l.SharedPIN
	}
	return s.loginResult(ctx, l, before, err)
}

// loginAtReader has the PIN typed there.
func (s *Session) loginAtReader(ctx context.Context) error {
	if s.notify != nil {
		s.notify("Type the PIN of the token " + s.token.Label + " at the reader.")
	}
	return s.login(ctx, nil)
}

// login sends the PIN. A session that the token ended while the user looked for
// it is opened again: what an ended session is sent, the token did not count.
func (s *Session) login(ctx context.Context, pin *secret.Bytes) error {
	send := func() error {
		_, err := callWithPIN(ctx, s.module, "C_Login", pin, func(pin []byte) (struct{}, error) {
			return struct{}{}, s.module.library.login(s.handle, pkcs11.CKU_USER, pin)
		})
		return err
	}
	err := send()
	if CodeOf(err).isLost() && s.reopen(ctx) == nil {
		err = send()
	}
	return err
}

// loginResult makes of what C_Login returned what the user can act on.
func (s *Session) loginResult(ctx context.Context, l Login, before tries, err error) error {
	code := CodeOf(err)
	if err == nil || code == pkcs11.CKR_USER_ALREADY_LOGGED_IN {
		s.loggedIn = true
		return nil
	}
	s.refused = true
	if err := s.judge(ctx, err); code == pkcs11.CKR_OK || problem.Is(err, problem.CardRemoved) {
		return err
	}
	after, triesErr := l.triesLeft(ctx, s.token)
	if triesErr != nil {
		after = tries{}
	}
	return after.explain(s.module.name(), before, err)
}

// loginAgain is the login that a key with CKA_ALWAYS_AUTHENTICATE wants between
// the beginning and the end of every operation. It is part of a call.
func (s *Session) loginAgain(pin []byte) error {
	if s.refused {
		return &CallError{Function: "C_Login", Code: pkcs11.CKR_PIN_INCORRECT}
	}
	const contextSpecific = 2 // CKU_CONTEXT_SPECIFIC
	err := s.module.library.login(s.handle, contextSpecific, pin)
	s.refused = err != nil && !CodeOf(err).isLost()
	return err
}

func (l Login) label(t Token) string {
	if l.Holder != "" {
		return "user PIN of " + l.Holder
	}
	return "user PIN of token " + t.Label
}
