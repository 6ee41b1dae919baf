package p11

import (
	"context"
	"fmt"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/miekg/pkcs11"
)

// tries is what is known of the tries that a PIN has left.
type tries struct {
	left  int
	known bool // left was read from the card
	flags PINState
}

func (l Login) triesLeft(ctx context.Context, t Token) (tries, error) {
	if l.Tries == nil {
		return tries{flags: t.UserPIN}, nil
	}
	left, err := l.Tries(ctx)
	return tries{left: left, known: err == nil, flags: t.UserPIN}, err
}

func (t tries) blocked() bool {
	return t.known && t.left == 0 || !t.known && t.flags.Locked
}

// check refuses a PIN that is blocked, or would be after one more mistake.
func (t tries) check(module string, allowLastTry bool) error {
	switch {
	case t.blocked():
		return problem.New(problem.PINBlocked, "%s: the user PIN is blocked", module).WithTries(0).
			Because("It was entered wrongly too often, or never set.").Hint("cardctl unblock-pin user")
	case allowLastTry:
		return nil
	case t.known && t.left == 1 || !t.known && t.flags.FinalTry:
		return problem.New(problem.PINBlocked, "%s: one try is left for the user PIN, and it was not sent", module).WithTries(1).
			Because("A mistake would block it.").Hint("the same command with --allow-last-try")
	}
	return nil
}

// note is what a person at a prompt has to know.
func (t tries) note() string {
	switch {
	case t.known && t.left == 1:
		return "1 try left"
	case t.known:
		return fmt.Sprintf("%d tries left", t.left)
	case t.flags.FinalTry:
		return "last try"
	case t.flags.CountLow:
		return "it was wrong before, few tries are left"
	}
	return ""
}

// checkLength spares the card a PIN that cannot be right, for some count that
// as a try.
func checkLength(pin *secret.Bytes, t Token) error {
	n := uint(pin.Len())
	if n > 0 && n >= t.MinPINLength && (t.MaxPINLength == 0 || n <= t.MaxPINLength) {
		return nil
	}
	tooWhat := "short"
	if n > t.MinPINLength {
		tooWhat = "long"
	}
	return problem.New(problem.Usage, "the user PIN of the token %q must have %d to %d bytes", t.Label, t.MinPINLength, t.MaxPINLength).
		Because("What was given is too %s; it was not sent to the card.", tooWhat)
}

// explain makes a problem of a login that failed, with the tries that are left
// after it. Modules do not agree on what they return for a wrong PIN: OpenSC
// has CKR_USER_NOT_LOGGED_IN for wrong and for blocked where the card answers
// 6982. The card's counter knows.
func (t tries) explain(module string, before tries, err error) error {
	code := CodeOf(err)
	blockedNow := t.known && t.left == 0 || code == pkcs11.CKR_PIN_LOCKED
	wrong := code == pkcs11.CKR_PIN_INCORRECT || code == pkcs11.CKR_PIN_INVALID || code == pkcs11.CKR_PIN_LEN_RANGE ||
		t.known && before.known && t.left < before.left ||
		!t.known && code == pkcs11.CKR_USER_NOT_LOGGED_IN

	var p *problem.Error
	switch {
	case blockedNow:
		p = problem.New(problem.PINBlocked, "%s: wrong user PIN, and it is blocked now [%s]", module, code).WithTries(0).
			Because("No try is left.").Hint("cardctl unblock-pin user")
	case wrong && t.known:
		p = problem.New(problem.PINIncorrect, "%s: wrong user PIN, %s [%s]", module, t.note(), code).WithTries(t.left).
			Because("The card refused it.").Hint("the same command with the right user PIN")
	case wrong:
		p = problem.New(problem.PINIncorrect, "%s: wrong user PIN [%s]", module, code).
			Because("The card refused it; the module does not say how many tries are left.").Hint("the same command with the right user PIN")
	default:
		return err
	}
	p.Cause = err
	return p
}
