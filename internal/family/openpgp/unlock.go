package key

import (
	"context"
	"fmt"

	"github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// password is what users call one of the card's passwords.
type password struct {
	name   secret.Name
	label  string
	rescue string // what to type when it is blocked
}

func describe(ref openpgp.PasswordRef) password {
	switch ref {
	case openpgp.PW3:
		return password{secret.AdminPIN, "admin PIN", "cardctl init"}
	case openpgp.ResettingCode:
		return password{secret.ResetCode, "resetting code", "cardctl unblock-pin user --admin-pin prompt --new-pin prompt"}
	default:
		return password{secret.PIN, "user PIN", "cardctl unblock-pin user --admin-pin prompt --new-pin prompt"}
	}
}

// Unlock verifies a password of an OpenPGP card, unless it is verified: it
// looks at the tries left, asks for the password, checks its length, and sends
// it once.
func Unlock(ctx context.Context, card *openpgp.Card, ref openpgp.PasswordRef, access Access) error {
	if card.Verified(ref) {
		return nil
	}
	return WithPassword(ctx, card, ref, describe(ref).name, access, func(pin *secret.Bytes) error {
		return card.Verify(ctx, ref, pin)
	})
}

// WithPassword does what Unlock does, with send in the place of VERIFY and
// another name for the secret.
func WithPassword(ctx context.Context, card *openpgp.Card, ref openpgp.PasswordRef, name secret.Name, access Access, send func(*secret.Bytes) error) error {
	data, err := card.ApplicationRelatedData(ctx)
	if err != nil {
		return err
	}
	p, status := describe(ref), data.Passwords.Status(ref)
	if err := CheckTries(ref, status.TriesLeft, access.AllowLastTry); err != nil {
		return err
	}
	pin, err := access.Ask(ctx, secret.Request{
		Name: name, Label: p.label + " of OpenPGP card " + data.AID.Serial(), Note: triesNote(status.TriesLeft),
	})
	if err != nil {
		return err
	}
	defer pin.Wipe()
	if err := CheckLength(ctx, card, ref, pin); err != nil {
		return err
	}
	return send(pin)
}

// CheckTries refuses a password that is blocked, or would be after one more
// mistake.
func CheckTries(ref openpgp.PasswordRef, left int, allowLast bool) error {
	p := describe(ref)
	switch {
	case left == 0:
		return problem.New(problem.PINBlocked, "the %s is blocked", p.label).WithTries(0).
			Because("It was entered wrongly too often, or never set.").Hint("%s", p.rescue)
	case left == 1 && !allowLast:
		return problem.New(problem.PINBlocked, "one try is left for the %s, and it was not sent", p.label).WithTries(1).
			Because("A mistake would block it.").Hint("the same command with --allow-last-try")
	}
	return nil
}

// CheckLength refuses a password that the card would count as a wrong one for
// its length alone.
func CheckLength(ctx context.Context, card *openpgp.Card, ref openpgp.PasswordRef, pin *secret.Bytes) error {
	limit, err := card.PasswordLimit(ctx, ref)
	if err != nil {
		return err
	}
	if n := pin.Len(); n < ref.MinLength() || n > limit {
		return problem.New(problem.Usage, "the %s must have %d to %d bytes", describe(ref).label, ref.MinLength(), limit).
			Because("What was given is too %s; it was not sent to the card.", tooWhat(n < ref.MinLength()))
	}
	return nil
}

func tooWhat(short bool) string {
	if short {
		return "short"
	}
	return "long"
}

func triesNote(left int) string {
	if left == 1 {
		return "1 try left"
	}
	return fmt.Sprintf("%d tries left", left)
}

func passwordProblem(err *openpgp.PasswordError, what string) *problem.Error {
	p := describe(err.Ref)
	if err.TriesLeft == 0 {
		blocked := problem.New(problem.PINBlocked, "%s: wrong %s, and it is blocked now", what, p.label).WithTries(0).Hint("%s", p.rescue)
		blocked.Cause = err
		return blocked.Because("%s.", sentenceStart(err.Cause))
	}
	wrong := problem.New(problem.PINIncorrect, "%s: wrong %s, %s", what, p.label, triesNote(err.TriesLeft)).WithTries(err.TriesLeft)
	wrong.Cause = err
	return wrong.Because("%s.", sentenceStart(err.Cause)).Hint("the same command with the right %s", p.label)
}

func sentenceStart(err error) string {
	s := problem.Sentence(err.Error())
	return s[:len(s)-1]
}
