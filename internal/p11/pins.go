package p11

import (
	"context"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/miekg/pkcs11"
)

// labelSize is the length in bytes of a token's label (PKCS#11 2.40, 5.5).
const labelSize = 32

// Role is who a PIN of a token belongs to.
type Role uint

// The roles that PKCS#11 has.
const (
	User            Role = pkcs11.CKU_USER
	SecurityOfficer Role = pkcs11.CKU_SO
)

func (r Role) String() string {
	if r == SecurityOfficer {
		return "SO PIN"
	}
	return "user PIN"
}

// secret is the name by which a user gives the PIN.
func (r Role) secret() secret.Name {
	if r == SecurityOfficer {
		return secret.SOPIN
	}
	return secret.PIN
}

// PIN is what the token's flags say of a role's PIN. A token that is not
// initialised has no PINs; SoftHSM says of it that they are blocked.
func (t Token) PIN(r Role) PINState {
	switch {
	case !t.Initialized:
		return PINState{}
	case r == SecurityOfficer:
		return t.SOPIN
	}
	return t.UserPIN
}

// SeveralTries is more than one: PKCS#11 tells no more.
const SeveralTries = 2

// Tries is how many tries the flags say that a PIN has left: none, one, or
// SeveralTries. A module that does not know has no flag for that
// (Module.CountsTries).
func (s PINState) Tries() int {
	switch {
	case s.Locked:
		return 0
	case s.FinalTry:
		return 1
	}
	return SeveralTries
}

// CountsTries reports whether a PIN of which the module raises no flag has more
// than one try left. Of OpenSC's that is not certain: it raises none as well
// where the card does not tell it, or where it does not ask. That of a TPM never raises
// one.
func (m *Module) CountsTries() bool { return !m.isBy(openSC) && !m.OfTPM() }

// PINState is what the token says of a PIN now.
func (m *Module) PINState(ctx context.Context, t Token, r Role) (PINState, error) {
	now, err := m.Look(ctx, t)
	return now.PIN(r), err
}

// PINState is what the token of the session says of a PIN now. A session that
// the token ended meanwhile is opened again.
func (s *Session) PINState(ctx context.Context, r Role) (PINState, error) {
	if s.hasLooked() {
		return s.token.PIN(r), nil
	}
	err := s.ready(ctx)
	return s.token.PIN(r), err
}

// InitToken erases a token and gives it a label of up to 32 bytes
// (C_InitToken). A new token gets the SO PIN; one that was in use keeps its own,
// which this has to be. Such a one is a problem.Refused unless erase is set. The
// token as it is afterwards is returned. The PIN is nil for a token with a PIN
// pad.
func (m *Module) InitToken(ctx context.Context, t Token, soPIN *secret.Bytes, label string, erase bool) (Token, error) {
	switch {
	case t.Initialized && !erase:
		return t, problem.New(problem.Refused, "the token %q is already initialised", t.Label).
			Because("Everything on it would be lost.").AllowedBy(advice.Switch(advice.Yes)).Advise(m.Show(t))
	case len(label) > labelSize:
		return t, problem.New(problem.Usage, "the label is too long for a token").
			Because("The label has %d bytes, and PKCS#11 allows %d.", len(label), labelSize).
			Advise(advice.Repeat(advice.Fill(advice.Label)))
	case t.WriteProtected:
		return t, m.writeProtected(t)
	}
	if err := m.same(ctx, t); err != nil {
		return t, err
	}
	_, err := callWithPIN(ctx, m, "C_InitToken", soPIN, func(pin []byte) (struct{}, error) {
		return struct{}{}, m.library.initToken(t.Slot, pin, label)
	})
	if err != nil {
		return t, m.notErased(t, m.pinFailed(ctx, t, SecurityOfficer, "C_InitToken", err))
	}
	made, err := m.refresh(ctx, t)
	if err == nil && (!made.Initialized || made.Label != trim(label)) {
		err = problem.New(problem.Failed, "the token confirmed its initialisation, but its slot holds no token with the new label").
			Because("The slot holds %s.", made.described()).Advise(m.list())
	}
	return made, err
}

// notErased is the error of a module that initialises blank tokens only.
func (m *Module) notErased(t Token, err error) error {
	switch code := CodeOf(err); {
	case !t.Initialized || code != pkcs11.CKR_ARGUMENTS_BAD && code != pkcs11.CKR_FUNCTION_NOT_SUPPORTED:
		return err
	default:
		remove := m.Show(t)
		if m.OfTPM() {
			remove = advice.Run("tpm2_ptool", "rmtoken", "--label", t.Label)
		}
		return because(problem.New(problem.NotSupported, "the module cannot initialise the token %q again [%s]", t.Label, code.Name()).
			Because("Its keys and certificates can be deleted, or the token with the tools of its maker.").
			Advise(remove), err)
	}
}

// InitPIN sets the user PIN by the SO PIN (C_InitPIN), which gives a blocked one
// its tries back. PINs are nil for a token with a PIN pad.
func (m *Module) InitPIN(ctx context.Context, t Token, soPIN, userPIN *secret.Bytes) (Token, error) {
	return m.asOfficer(ctx, t, soPIN, func(s *Session) error { return s.initPIN(ctx, userPIN) }, User)
}

// SetPIN changes a PIN (C_SetPIN). PINs are nil for a token with a PIN pad.
func (m *Module) SetPIN(ctx context.Context, t Token, r Role, old, replacement *secret.Bytes) (Token, error) {
	if r == SecurityOfficer {
		return m.asOfficer(ctx, t, old, func(s *Session) error { return s.setPIN(ctx, r, old, replacement) }, r)
	}
	s, err := m.openToWrite(ctx, t)
	if err != nil {
		return t, err
	}
	if m.OfTPM() { // whose C_SetPIN reports success for a wrong old PIN too
		err = s.LoginWith(ctx, r, old)
	}
	if err == nil {
		err = s.setPIN(ctx, r, old, replacement)
	}
	return m.afterPIN(ctx, t, r, err, s.Close())
}

func (s *Session) initPIN(ctx context.Context, userPIN *secret.Bytes) error {
	return s.sendPINs(ctx, User, "C_InitPIN", userPIN, func(pin []byte) error {
		return s.module.library.initPIN(s.handle, pin)
	})
}

// setPIN hands over both PINs at once, in one copy that is wiped.
func (s *Session) setPIN(ctx context.Context, r Role, old, replacement *secret.Bytes) error {
	both := secret.New(slices.Concat(old.Reveal(), replacement.Reveal()))
	defer both.Wipe()
	n := old.Len()
	return s.sendPINs(ctx, r, "C_SetPIN", both, func(pins []byte) error {
		return s.module.library.setPIN(s.handle, pins[:n], pins[n:])
	})
}

// sendPINs makes one call that carries PINs, if the token is still the same.
func (s *Session) sendPINs(ctx context.Context, r Role, function string, pins *secret.Bytes, f func(pins []byte) error) error {
	if err := s.same(ctx); err != nil {
		return err
	}
	_, err := callWithPIN(ctx, s.module, function, pins, func(pins []byte) (struct{}, error) { return struct{}{}, f(pins) })
	if err != nil {
		return s.module.pinFailed(ctx, s.token, r, function, err)
	}
	return nil
}

// asOfficer works on a PIN of the token with the SO logged in, and reads the
// token again.
func (m *Module) asOfficer(ctx context.Context, t Token, soPIN *secret.Bytes, work func(*Session) error, on Role) (Token, error) {
	s, err := m.openToWrite(ctx, t)
	if err != nil {
		return t, err
	}
	err = s.LoginWith(ctx, SecurityOfficer, soPIN)
	if err == nil {
		err = work(s)
	}
	return m.afterPIN(ctx, t, on, err, s.Close())
}

// openToWrite opens a session that is bound to the token: where that is another
// one by then, the look that comes before the PIN sees it.
func (m *Module) openToWrite(ctx context.Context, t Token) (*Session, error) {
	switch {
	case !t.Initialized:
		return nil, m.notInitialized(t)
	case t.WriteProtected:
		return nil, m.writeProtected(t)
	}
	handle, err := call(ctx, m, "C_OpenSession", func() (session, error) { return m.library.openWritable(t.Slot) })
	if err != nil {
		return nil, m.explainOn(ctx, t, err)
	}
	return &Session{module: m, token: t, handle: handle, canWrite: true}, nil
}

// afterPIN reads the token again after a PIN was set, and its session ended. What
// fails from here on does not undo it.
func (m *Module) afterPIN(ctx context.Context, t Token, r Role, err, ending error) (Token, error) {
	if err != nil {
		return t, err
	}
	now, err := m.Look(ctx, t)
	switch {
	case err != nil:
		return t, confirmed("The token confirmed the new PIN, but could not be read afterwards.", err)
	case r == User && (!now.UserPIN.Initialized || now.UserPIN.Locked):
		return now, problem.New(problem.Failed, "the token confirmed a new user PIN, but did not keep it").
			Because("The state of the user PIN is: %s.", now.UserPIN).Advise(m.Show(now))
	case ending != nil:
		return now, confirmed("The token confirmed the new PIN, but its session did not end.", ending)
	}
	return now, nil
}

// confirmed is a failure after a PIN was set.
func confirmed(what string, err error) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return uncertainError{err}
	}
	told := *p
	told.Why, told.Cause = problem.Sentences(what, p.Reason()), uncertainError{err}
	return &told
}

// refresh reads what is in the token's slot now.
func (m *Module) refresh(ctx context.Context, t Token) (Token, error) {
	now, err := call(ctx, m, "C_GetTokenInfo", func() (Token, error) { return m.state(t.Slot) })
	return now, m.explainOn(ctx, t, err)
}
