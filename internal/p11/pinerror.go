package p11

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/miekg/pkcs11"
)

// PINAnswer is what an answer to a function that carries a PIN says of it.
type PINAnswer int

// The answers that there are.
const (
	// PINUnknown: the token may have counted it as a try, or done what it was
	// asked for, and its answer is lost.
	PINUnknown PINAnswer = iota
	// PINRefused: it is wrong, and the token counted it as a try.
	PINRefused
	// PINLocked: it is blocked, now or since before.
	PINLocked
	// PINUnfit: its length or a character of it is not what the token takes.
	PINUnfit
	// PINUnused: the token refused the function for another reason.
	PINUnused
)

// PINError is in the chain of every error of a function that carried a PIN to a
// token. Such a PIN is not sent again.
type PINError struct {
	Role     Role
	Function string
	Code     Code
	Answer   PINAnswer
	// Locked and FinalTry are what the token says of the PIN afterwards, where
	// it says so.
	Locked, FinalTry bool

	err error
}

func (e *PINError) Error() string { return e.err.Error() }
func (e *PINError) Unwrap() error { return e.err }

// pinAnswer judges what a function returned.
func pinAnswer(function string, err error) PINAnswer {
	switch code := CodeOf(err); {
	case code == pkcs11.CKR_PIN_INCORRECT:
		return PINRefused
	case code == pkcs11.CKR_USER_NOT_LOGGED_IN && function == "C_Login":
		return PINRefused // OpenSC's for a card that answers 6982
	case code == pkcs11.CKR_PIN_LOCKED:
		return PINLocked
	case code == pkcs11.CKR_PIN_LEN_RANGE, code == pkcs11.CKR_PIN_INVALID:
		return PINUnfit
	case leavesOpen(err):
		return PINUnknown
	}
	return PINUnused
}

// pinFailed makes a problem of a function that carried a PIN and failed, with
// what the token says of the PIN afterwards.
func (m *Module) pinFailed(ctx context.Context, t Token, r Role, function string, err error) error {
	if !begun(err) {
		return err // nothing was sent
	}
	e := &PINError{Role: r, Function: function, Code: CodeOf(err), Answer: pinAnswer(function, err), err: err}
	gone := m.judge(ctx, t, err)
	after, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
	defer cancel()
	now, lookErr := m.Look(after, t)
	if lookErr == nil {
		e.Locked, e.FinalTry = now.PIN(r).Locked, now.PIN(r).FinalTry
	}
	if e.Answer == PINLocked || e.Locked && (e.Answer == PINUnknown || e.Answer == PINRefused) {
		e.Answer, e.Locked = PINLocked, true
	}
	switch {
	case problem.Gone(lookErr):
		err = because(lookErr, err)
	case problem.Gone(gone):
		err = gone
	default:
		err = m.explainOn(ctx, t, err)
	}
	return e.explained(m, t, err)
}

// explained is the error in the user's terms; otherwise is what is said of a
// failure that is not the PIN's.
func (e *PINError) explained(m *Module, t Token, otherwise error) error {
	p := problem.New(problem.Failed, "%s", e)
	switch e.Answer {
	case PINLocked:
		p = problem.New(problem.PINBlocked, "the %s of the token %q is blocked now [%s]", e.Role, t.Label, e.Code.Name()).WithTries(0).
			Because("No tries are left.").Advise(m.Rescue(t, e.Role))
	case PINRefused:
		p = problem.New(problem.PINIncorrect, "wrong %s for the token %q [%s]", e.Role, t.Label, e.Code.Name()).
			Because("The token rejected it.").Advise(advice.Repeat(advice.Ask(e.Role.secret())))
		if e.FinalTry {
			_ = p.WithTries(1).Because("One try is left.").
				Advise(advice.Repeat(advice.Ask(e.Role.secret()), advice.Switch(advice.LastTry)))
		}
	case PINUnfit:
		p = problem.New(problem.Usage, "the token %q does not accept such a PIN [%s]", t.Label, e.Code).
			Because("Its PINs have %d to %d bytes.", t.MinPINLength, t.MaxPINLength)
	case PINUnused, PINUnknown:
		var told *problem.Error
		if !errors.As(otherwise, &told) {
			return e // an interruption
		}
		*p = *told
		if e.Answer == PINUnknown {
			p.Why = problem.Sentences(told.Reason(), fmt.Sprintf("It is not known whether %s.", outcome(e.Function)))
		}
	}
	p.Cause = e
	return p
}
