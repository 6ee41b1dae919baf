package p11

import (
	"context"
	"errors"
	"slices"

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

func (r Role) hint() string {
	if r == SecurityOfficer {
		return "a token whose SO PIN is blocked can only be made new by its maker's own tool"
	}
	return "cardctl unblock-pin user --so-pin prompt --new-pin prompt"
}

// PIN is what the token's flags say of a role's PIN.
func (t Token) PIN(r Role) PINState {
	if r == SecurityOfficer {
		return t.SOPIN
	}
	return t.UserPIN
}

// CheckTries refuses a PIN that is blocked, or would be after one more
// mistake. PKCS#11 tells no numbers, but that one try is left. A token that is
// not initialised has no PINs; SoftHSM says of it that they are blocked.
func (t Token) CheckTries(r Role, allowLastTry bool) error {
	switch state := t.PIN(r); {
	case !t.Initialized:
	case state.Locked:
		return problem.New(problem.PINBlocked, "the %s of the token %q is blocked", r, t.Label).WithTries(0).
			Because("It was entered wrongly too often.").Hint("%s", r.hint())
	case state.FinalTry && !allowLastTry:
		return problem.New(problem.PINBlocked, "one try is left for the %s of the token %q, and it was not sent", r, t.Label).WithTries(1).
			Because("A mistake would block it.").Hint("the same command with --allow-last-try")
	}
	return nil
}

// TriesNote is what a person at a prompt has to know, nothing where all is
// well.
func (t Token) TriesNote(r Role) string { return tries{flags: t.PIN(r)}.note() }

// CheckLength refuses a PIN that the token cannot have for its length.
func (t Token) CheckLength(r Role, pin *secret.Bytes) error {
	n, tooWhat := uint(pin.Len()), ""
	switch {
	case n == 0 || n < t.MinPINLength:
		tooWhat = "short"
	case t.MaxPINLength > 0 && n > t.MaxPINLength:
		tooWhat = "long"
	default:
		return nil
	}
	return problem.New(problem.Usage, "the %s of the token must have %d to %d bytes", r, t.MinPINLength, t.MaxPINLength).
		Because("What was given is too %s; it was not sent to the token.", tooWhat)
}

// InitToken erases a token and gives it a label of up to 32 bytes
// (C_InitToken). A new token gets the SO PIN; one that was in use keeps its own,
// which this has to be. Such a one is a problem.Refused unless erase is set. The
// token as it is afterwards is returned. The PIN is nil for a token with a PIN
// pad.
func (m *Module) InitToken(ctx context.Context, t Token, soPIN *secret.Bytes, label string, erase bool) (Token, error) {
	switch {
	case t.Initialized && !erase:
		return t, problem.New(problem.Refused, "the token %q is in use", t.Label).
			Because("Everything on it would be lost.").Hint("--yes")
	case len(label) > labelSize:
		return t, problem.New(problem.Usage, "the label is too long for a token").
			Because("It has %d bytes, and PKCS#11 takes %d.", len(label), labelSize)
	case t.WriteProtected:
		return t, m.writeProtected(t)
	}
	_, err := callWithPIN(ctx, m, "C_InitToken", soPIN, func(pin []byte) (struct{}, error) {
		return struct{}{}, m.library.initToken(t.Slot, pin, label)
	})
	if err != nil {
		return t, m.pinResult(ctx, t, SecurityOfficer, err)
	}
	made, err := m.refresh(ctx, t)
	if err == nil && (!made.Initialized || made.Label != trim(label)) {
		err = problem.New(problem.Failed, "the token confirmed its initialisation, and was not initialised").
			Because("It says: initialised %t, label %q.", made.Initialized, made.Label)
	}
	return made, err
}

// InitPIN sets the user PIN by the SO PIN (C_InitPIN), which gives a blocked one
// its tries back. PINs are nil for a token with a PIN pad.
func (m *Module) InitPIN(ctx context.Context, t Token, soPIN, userPIN *secret.Bytes) (Token, error) {
	return m.asOfficer(ctx, t, soPIN, func(s *Session) error {
		_, err := callWithPIN(ctx, m, "C_InitPIN", userPIN, func(pin []byte) (struct{}, error) {
			return struct{}{}, m.library.initPIN(s.handle, pin)
		})
		return err
	})
}

// SetPIN changes a PIN (C_SetPIN). PINs are nil for a token with a PIN pad.
func (m *Module) SetPIN(ctx context.Context, t Token, r Role, old, replacement *secret.Bytes) (Token, error) {
	if r == SecurityOfficer {
		return m.asOfficer(ctx, t, old, func(s *Session) error { return s.setPIN(ctx, old, replacement) })
	}
	s, err := m.openToWrite(ctx, t)
	if err != nil {
		return t, err
	}
	err = s.setPIN(ctx, old, replacement)
	return m.afterPIN(ctx, t, r, errors.Join(err, s.Close()))
}

// setPIN hands over both PINs at once, in one copy that is wiped.
func (s *Session) setPIN(ctx context.Context, old, replacement *secret.Bytes) error {
	both := secret.New(slices.Concat(old.Reveal(), replacement.Reveal()))
	defer both.Wipe()
	n := old.Len()
	_, err := callWithPIN(ctx, s.module, "C_SetPIN", both, func(pins []byte) (struct{}, error) {
		return struct{}{}, s.module.library.setPIN(s.handle, pins[:n], pins[n:])
	})
	return err
}

// asOfficer works on the token with the SO logged in, and reads the token
// again.
func (m *Module) asOfficer(ctx context.Context, t Token, soPIN *secret.Bytes, work func(*Session) error) (Token, error) {
	s, err := m.openToWrite(ctx, t)
	if err != nil {
		return t, err
	}
	_, err = callWithPIN(ctx, m, "C_Login", soPIN, func(pin []byte) (struct{}, error) {
		return struct{}{}, m.library.login(s.handle, pkcs11.CKU_SO, pin)
	})
	if err != nil {
		return m.afterPIN(ctx, t, SecurityOfficer, errors.Join(err, s.Close()))
	}
	s.loggedIn = true
	return m.afterPIN(ctx, t, User, errors.Join(work(s), s.Close()))
}

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

// afterPIN reads the token again after a PIN was set, or refused.
func (m *Module) afterPIN(ctx context.Context, t Token, r Role, err error) (Token, error) {
	if err != nil {
		return t, m.pinResult(ctx, t, r, err)
	}
	now, err := m.refresh(ctx, t)
	if err == nil && (!now.UserPIN.Initialized || now.UserPIN.Locked) && r == User {
		err = problem.New(problem.Failed, "the token confirmed a new user PIN, and did not keep it").
			Because("It says that the user PIN is: %s.", now.UserPIN)
	}
	return now, err
}

// refresh reads the token again.
func (m *Module) refresh(ctx context.Context, t Token) (Token, error) {
	now, err := call(ctx, m, "C_GetTokenInfo", func() (Token, error) { return m.state(t.Slot) })
	now.Mechanisms = t.Mechanisms
	return now, m.explainOn(ctx, t, err)
}

// pinResult makes a problem of a PIN that was refused, with what the token says
// of it afterwards.
func (m *Module) pinResult(ctx context.Context, t Token, r Role, err error) error {
	code := CodeOf(err)
	now, stateErr := m.refresh(ctx, t)
	if stateErr != nil {
		now = t
	}
	var p *problem.Error
	switch {
	case code == pkcs11.CKR_PIN_LOCKED, code != pkcs11.CKR_OK && t.Initialized && now.PIN(r).Locked:
		p = problem.New(problem.PINBlocked, "the %s of the token %q is blocked now [%s]", r, t.Label, code.Name()).WithTries(0).
			Because("No try is left.").Hint("%s", r.hint())
	case code == pkcs11.CKR_PIN_INCORRECT:
		p = problem.New(problem.PINIncorrect, "wrong %s of the token %q [%s]", r, t.Label, code.Name()).
			Because("The token refused it; it does not say how many tries are left.").Hint("the same command with the right %s", r)
		if now.PIN(r).FinalTry {
			p.WithTries(1).Because("One try is left.")
		}
	case code == pkcs11.CKR_PIN_LEN_RANGE, code == pkcs11.CKR_PIN_INVALID:
		p = problem.New(problem.Usage, "the token %q does not take such a PIN [%s]", t.Label, code).
			Because("It takes %d to %d bytes.", t.MinPINLength, t.MaxPINLength)
	default:
		return m.explainOn(ctx, t, err)
	}
	p.Cause = err
	return p
}
