package p11

import (
	"context"
	"crypto"
	"errors"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/miekg/pkcs11"
)

// Session is an open session on one token. Close ends it.
type Session struct {
	module *Module
	token  Token
	handle session

	wanted Wanted
	found  Found

	closed   bool
	loggedIn bool
	// pin is kept while the session lasts, for keys that want it again for
	// every use (CKA_ALWAYS_AUTHENTICATE).
	pin *secret.Bytes
	// refused says that a PIN was wrong in this session: none is sent again.
	refused bool
}

func (m *Module) open(ctx context.Context, t Token) (*Session, error) {
	handle, err := call(ctx, m, "C_OpenSession", func() (session, error) {
		return m.library.openSession(t.Slot)
	})
	if err != nil {
		return nil, err
	}
	return &Session{module: m, token: t, handle: handle}, nil
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
	var err error
	if s.loggedIn {
		err = m.do(ctx, "C_Logout", func() error { return m.library.logout(s.handle) })
	}
	return errors.Join(err, m.do(ctx, "C_CloseSession", func() error { return m.library.closeSession(s.handle) }))
}

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
	// Notify tells the user that the PIN is to be typed at the reader. It may
	// be nil.
	Notify func(message string)
}

// Login logs in as the user, once: a wrong PIN is not tried again. The tries
// left are looked at before the PIN is asked for, and its length before it is
// sent. A token that wants no login gets none.
func (s *Session) Login(ctx context.Context, l Login) error {
	m := s.module
	t, err := call(ctx, m, "C_GetTokenInfo", func() (Token, error) { return m.token(s.token.Slot) })
	if err != nil {
		return err
	}
	s.token = t
	if !t.LoginRequired || s.loggedIn {
		return nil
	}
	before, err := l.triesLeft(ctx, t)
	if err != nil {
		return err
	}
	if err := before.check(m.name(), l.AllowLastTry); err != nil {
		return err
	}
	if t.PINPad {
		if l.Notify != nil {
			l.Notify("Type the PIN of the token " + t.Label + " at the reader.")
		}
		return s.loginResult(ctx, l, before, s.login(ctx, nil))
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
		s.pin = pin
	}
	return s.loginResult(ctx, l, before, err)
}

func (s *Session) login(ctx context.Context, pin *secret.Bytes) error {
	_, err := callWithPIN(ctx, s.module, "C_Login", pin, func(pin []byte) (struct{}, error) {
		return struct{}{}, s.module.library.login(s.handle, pkcs11.CKU_USER, pin)
	})
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
	if code == pkcs11.CKR_OK {
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
	s.refused = err != nil
	return err
}

func (l Login) label(t Token) string {
	if l.Holder != "" {
		return "user PIN of " + l.Holder
	}
	return "user PIN of token " + t.Label
}

// Key is the private key that was looked for. On most tokens it is seen only
// after the login. It belongs to what was found by the public key: it tells the
// same public key itself, or has the ID of the certificate or public key that
// does. Errors are problem.NotFound and problem.Usage, the latter where nothing
// said which key is meant.
func (s *Session) Key(ctx context.Context) (*Key, error) {
	if !s.wanted.namesKey() {
		return nil, problem.New(problem.Usage, "no key of the token %q is named", s.token.Label).
			Hint("pkcs11:token=LABEL;id=%%01")
	}
	if s.found.Public == nil {
		if err := s.look(ctx, s.wanted); err != nil {
			return nil, err
		}
	}
	keys, err := call(ctx, s.module, "C_FindObjects", s.privateKeys)
	if err != nil {
		return nil, err
	}
	switch {
	case len(keys) == 0:
		return nil, problem.New(problem.NotFound, "the token %q has no private key for it", s.token.Label).
			Because("No private key of it has the wanted public key, or the ID of a certificate or public key that has it.").
			Hint("pkcs11-tool --module %s --login --list-objects", s.module.path)
	case keys[0].public == nil:
		return nil, problem.New(problem.NotFound, "the token %q does not tell the public key of the key", s.token.Label).
			Because("It has no certificate and no public key with the ID of the private key, so that no signature can be checked.").
			Hint("write the certificate to the token")
	case len(keys) > 1 && !SamePublicKey(keys[0].told, keys[1].told):
		return nil, problem.New(problem.NotFound, "the token %q has several private keys with the same ID", s.token.Label).
			Because("Only one of them belongs to the public key, and the token does not tell which.").
			Hint("pkcs11-tool --module %s --login --list-objects", s.module.path)
	}
	return keys[0], nil
}

// privateKeys are the private keys that can be the wanted one.
func (s *Session) privateKeys() ([]*Key, error) {
	handles, err := s.objects(pkcs11.CKO_PRIVATE_KEY)
	if err != nil {
		return nil, err
	}
	var keys []*Key
	for _, o := range handles {
		id, label := s.bytes(o, pkcs11.CKA_ID), string(s.bytes(o, pkcs11.CKA_LABEL))
		told := s.publicKey(o)
		public := s.publicOf(o, told, id, label)
		if public == nil && (told != nil || s.found.Public != nil || !s.wanted.isKey(nil, id, label)) {
			continue
		}
		keys = append(keys, s.newKey(o, public, told))
	}
	return keys, nil
}

// publicOf is the public key that makes a private key the wanted one, nil
// where nothing does.
func (s *Session) publicOf(o object, told crypto.PublicKey, id []byte, label string) crypto.PublicKey {
	switch {
	case told != nil && s.found.Public != nil:
		if SamePublicKey(told, s.found.Public) {
			return told
		}
	case told != nil:
		if s.wanted.isKey(told, id, label) {
			return told
		}
	case s.found.Public != nil:
		if kind, ok := keyType(s.found.Public); ok && kind == s.number(o, pkcs11.CKA_KEY_TYPE) && contains(s.found.ids, id) {
			return s.found.Public
		}
	}
	return nil
}
