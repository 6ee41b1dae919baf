package p11

import (
	"context"
	"errors"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/miekg/pkcs11"
)

// Explain says what a failed call on the session's token means to the user.
// Where the return value alone misleads, for modules answer with
// CKR_GENERAL_ERROR or CKR_USER_NOT_LOGGED_IN to many things, the token is
// asked for its state.
func (s *Session) Explain(ctx context.Context, err error) error {
	if isTold(err) {
		return err
	}
	return s.judge(ctx, s.module.explainOn(ctx, s.token, err))
}

// explainOn makes a problem of what a call on a token returned; was is the
// token as it was before.
func (m *Module) explainOn(ctx context.Context, was Token, err error) error {
	var failed *CallError
	if !errors.As(err, &failed) {
		return err
	}
	if p := m.plainly(was, failed.Code); p != nil {
		p.Cause = err
		return p
	}
	if !failed.Code.hidesState() && !failed.Code.isGone() {
		return err
	}
	now, lookErr := m.Look(ctx, was)
	switch {
	case problem.Gone(lookErr): // it says what is there now
		return because(lookErr, err)
	case failed.Code.isGone() && !failed.Code.isVague():
		return m.wentAway(was, err)
	case lookErr != nil:
		return err
	}
	if p := m.byState(was, now, failed.Code); p != nil {
		p.Cause = err
		return p
	}
	return err
}

// plainly is what a return value says that leaves no doubt, nil for others.
func (m *Module) plainly(t Token, code Code) *problem.Error {
	switch code {
	case pkcs11.CKR_DEVICE_MEMORY:
		return problem.New(problem.Failed, "the token %q is full [%s]", t.Label, code.Name()).
			Because("There is no room for another object until one is deleted.").
			Advise(m.Show(t))
	case pkcs11.CKR_TOKEN_WRITE_PROTECTED, pkcs11.CKR_SESSION_READ_ONLY:
		return m.writeProtected(t)
	case pkcs11.CKR_USER_PIN_NOT_INITIALIZED:
		return problem.New(problem.PINBlocked, "the token %q has no user PIN [%s]", t.Label, code.Name()).
			Because("Only the SO PIN can set it.").
			Advise(m.Rescue(t, User))
	case pkcs11.CKR_SESSION_EXISTS, pkcs11.CKR_SESSION_READ_ONLY_EXISTS, pkcs11.CKR_SESSION_READ_WRITE_SO_EXISTS:
		return problem.New(problem.CardBusy, "the token %q is in use [%s]", t.Label, code.Name()).
			Because("Another program has a session on it.").Advise(advice.Do(advice.Diagnose))
	case pkcs11.CKR_ATTRIBUTE_TYPE_INVALID, pkcs11.CKR_ATTRIBUTE_VALUE_INVALID, pkcs11.CKR_ATTRIBUTE_READ_ONLY,
		pkcs11.CKR_TEMPLATE_INCONSISTENT, pkcs11.CKR_TEMPLATE_INCOMPLETE, pkcs11.CKR_DOMAIN_PARAMS_INVALID, ckrCurveNotSupported:
		return problem.New(problem.NotSupported, "the token %q does not accept such an object [%s]", t.Label, code).
			Because("The module rejected an attribute that the object needs.").Advise(m.list())
	}
	return nil
}

// ckrCurveNotSupported is CKR_CURVE_NOT_SUPPORTED of PKCS#11 2.40 and 3.0.
const ckrCurveNotSupported = 0x140

func (m *Module) wentAway(t Token, cause error) *problem.Error {
	p := problem.New(problem.CardRemoved, "%s: the token %q was removed while it was in use", m.name(), t.Label).
		Because("Its slot no longer holds it.").
		Advise(m.list())
	p.Cause = cause
	return p
}

func (m *Module) writeProtected(t Token) *problem.Error {
	return problem.New(problem.NotSupported, "the token %q is write-protected", t.Label).
		Because("The module allows it to be read and used, but not changed.").
		Advise(m.Show(t))
}

// hidesState reports whether modules return the code where the state of the
// token is the reason.
func (c Code) hidesState() bool {
	return c.isVague() || c == pkcs11.CKR_USER_NOT_LOGGED_IN || c == pkcs11.CKR_ARGUMENTS_BAD
}

// because is a problem with another cause.
func because(err, cause error) error {
	var p *problem.Error
	if !errors.As(err, &p) {
		return err
	}
	told := *p
	told.Cause = cause
	return &told
}

// byState is what the token's state says of a vague return value, nil where it
// says nothing.
func (m *Module) byState(was, now Token, code Code) *problem.Error {
	switch {
	case now.UserPIN.Locked:
		return problem.New(problem.PINBlocked, "the user PIN of the token %q is blocked [%s]", was.Label, code.Name()).WithTries(0).
			Because("It was entered incorrectly too many times.").
			Advise(m.Rescue(was, User))
	case now.WriteProtected:
		return m.writeProtected(now)
	case code == pkcs11.CKR_SESSION_HANDLE_INVALID, code == pkcs11.CKR_SESSION_CLOSED:
		return problem.New(problem.CardBusy, "the token %q ended the session [%s]", was.Label, code.Name()).
			Because("The token is still there; another program may have reset it.").
			Advise(advice.Do(advice.Diagnose))
	case code == pkcs11.CKR_OBJECT_HANDLE_INVALID, code == pkcs11.CKR_KEY_HANDLE_INVALID:
		return problem.New(problem.NotFound, "an object on the token %q no longer exists [%s]", was.Label, code.Name()).
			Because("Another program has deleted it.").Advise(m.Show(was))
	}
	return nil
}

// writable gives the session the right to change the token. The login stays:
// it is that of all sessions of the program with the token.
func (s *Session) writable(ctx context.Context) error {
	if s.canWrite {
		return nil
	}
	m := s.module
	if s.token.WriteProtected {
		return m.writeProtected(s.token)
	}
	handle, err := call(ctx, m, "C_OpenSession", func() (session, error) { return m.library.openWritable(s.token.Slot) })
	if err != nil {
		return s.Explain(ctx, err)
	}
	readOnly := s.handle
	s.handle, s.canWrite = handle, true
	err = m.do(ctx, "C_CloseSession", func() error { return m.library.closeSession(readOnly) })
	if CodeOf(err).isLost() {
		return nil
	}
	return err
}

// moment is how long an object that was made on the token, and read there, proves that
// the session is on this token.
const moment = 500 * time.Millisecond

// change makes one call that changes the token, if it is still the same.
func change[T any](ctx context.Context, s *Session, function string, f func() (T, error)) (T, error) {
	if time.Since(s.proved) > moment {
		if err := s.same(ctx); err != nil {
			var none T
			return none, err
		}
	}
	value, err := call(ctx, s.module, function, f)
	if err == nil {
		s.touch()
		return value, nil
	}
	open := leavesOpen(err)
	if err = s.Explain(ctx, err); open {
		err = s.doubted(err, function)
	}
	return value, err
}

// readBack reads what a change made.
func readBack[T any](ctx context.Context, s *Session, f func() (T, error)) (T, error) {
	value, err := call(ctx, s.module, "C_GetAttributeValue", f)
	if err == nil {
		s.proved = time.Now()
	}
	return value, s.Explain(ctx, err)
}
