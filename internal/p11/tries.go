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

// check refuses a PIN that is blocked, and the last try.
func (t tries) check(module string, allowLastTry bool) error {
	switch {
	case t.blocked():
		return problem.New(problem.PINBlocked, "%s: the user PIN is blocked", module).
			Because("It was wrong too often, and no try is left.").
			Hint("cardctl unblock-pin user").WithTries(0)
	case allowLastTry:
		return nil
	case t.known && t.left == 1 || !t.known && t.flags.FinalTry:
		return problem.New(problem.PINBlocked, "%s: the user PIN has one try left", module).
			Because("If it is wrong once more, it is blocked.").
			Hint("be sure of the PIN, and add --allow-last-try").WithTries(1)
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
func checkLength(pin *secret.Bytes, t Token, before tries) error {
	n := uint(pin.Len())
	if n > 0 && n >= t.MinPINLength && (t.MaxPINLength == 0 || n <= t.MaxPINLength) {
		return nil
	}
	p := problem.New(problem.PINIncorrect, "the user PIN of the token %q was not sent", t.Label).
		Because("It has %d bytes, and the token takes %d to %d. No try was used.", n, t.MinPINLength, t.MaxPINLength)
	if before.known {
		return p.WithTries(before.left)
	}
	return p
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

	what := fmt.Sprintf("%s: the user PIN was refused [%s]", module, code.Name())
	var p *problem.Error
	switch {
	case blockedNow:
		p = problem.New(problem.PINBlocked, "%s", what).
			Because("It was wrong, and is blocked now.").
			Hint("cardctl unblock-pin user").WithTries(0)
	case wrong && t.known:
		p = problem.New(problem.PINIncorrect, "%s", what).
			Because("It is wrong; %s.", t.note()).
			Hint("the same command with the right PIN; there is no second try by itself").WithTries(t.left)
	case wrong:
		p = problem.New(problem.PINIncorrect, "%s", what).
			Because("It is wrong, or blocked: the module does not tell more.").
			Hint("cardctl info shows the tries left")
	default:
		return err
	}
	p.Cause = err
	return p
}
