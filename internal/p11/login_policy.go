package p11

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/miekg/pkcs11"
)

// This file is what package pin takes over: looking at the tries, asking,
// checking.

// Login is what a login needs from the caller.
type Login struct {
	Ask secret.Asker
	// Holder says at a prompt whose PIN it is: "OpenPGP card 000F12345678".
	Holder string
	// Tries reads from the card how many tries the PIN has left, UnknownTries
	// where it does not tell. It may be nil: then the token's flags have to do,
	// which tell less.
	Tries func(ctx context.Context) (int, error)
	// AllowLastTry permits the PIN to be sent when one try is left,
	// AllowUnknownTries when nothing tells how many.
	AllowLastTry      bool
	AllowUnknownTries bool
	// SharedPIN says that all tokens of the card have this one PIN
	// (Session.SharePIN).
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
// left are looked at before the PIN is asked for, and again where that took
// time; its length before it is sent. A token that wants no login gets none.
func (s *Session) Login(ctx context.Context, l Login) error {
	if s.loggedIn || s.refusal != nil {
		return s.refusal
	}
	s.OnPINPad(l.Notify)
	if _, err := s.PINState(ctx, User); err != nil {
		return err
	}
	if !s.token.LoginRequired {
		return nil
	}
	if l.DerivedPIN && !s.token.PINPad {
		return problem.New(problem.NotSupported, "%s: the user PIN cannot be sent through this module", s.module.name()).
			Because("The card takes its PINs in key derived format (KDF), and the module does not make it: the card would count a right PIN as a wrong one.").
			Hint("--module scute, which leaves the PIN to GnuPG, or switch the format off with kdf-setup off in gpg --card-edit")
	}
	before, err := s.checkTries(ctx, l)
	if err != nil {
		return err
	}
	if s.token.PINPad {
		return s.loginResult(ctx, l, before, s.loginAtReader(ctx))
	}
	pin, err := l.Ask(ctx, secret.Request{Name: secret.PIN, Label: l.label(s.token), Note: before.note()})
	if err != nil {
		return err
	}
	defer pin.Wipe()
	if err := s.token.CheckLength(User, pin); err != nil {
		return err
	}
	if !s.isRecent() {
		if _, err := s.PINState(ctx, User); err != nil {
			return err
		}
		if before, err = s.checkTries(ctx, l); err != nil {
			return err
		}
	}
	if err = s.LoginWith(ctx, User, pin); err == nil && l.SharedPIN {
		s.SharePIN()
	}
	return s.loginResult(ctx, l, before, err)
}

func (s *Session) checkTries(ctx context.Context, l Login) (tries, error) {
	t, err := l.triesLeft(ctx, s.token)
	if err != nil {
		return t, err
	}
	return t, t.check(s.module.name(), l)
}

// loginResult makes of what C_Login returned what the user can act on.
func (s *Session) loginResult(ctx context.Context, l Login, before tries, err error) error {
	var sent *PINError
	if !errors.As(err, &sent) || isElsewhere(err) {
		return err
	}
	after, triesErr := l.triesLeft(ctx, s.token)
	if triesErr != nil {
		after = tries{}
	}
	return after.explain(s.module.name(), before, err)
}

func (l Login) label(t Token) string {
	if l.Holder != "" {
		return "user PIN of " + l.Holder
	}
	return "user PIN of token " + onPrompt(t.Label)
}

// CheckTries refuses a PIN that is blocked, or would be after one more mistake.
func (t Token) CheckTries(r Role, allowLastTry bool) error {
	switch t.PIN(r).Tries() {
	case 0:
		return problem.New(problem.PINBlocked, "the %s of the token %q is blocked", r, t.Label).WithTries(0).
			Because("It was entered wrongly too often.").Hint("%s", r.hint())
	case 1:
		if allowLastTry {
			return nil
		}
		return problem.New(problem.PINBlocked, "one try is left for the %s of the token %q, and it was not sent", r, t.Label).WithTries(1).
			Because("A mistake would block it.").Hint("the same command with --allow-last-try")
	}
	return nil
}

// TriesNote is what a person at a prompt has to know, nothing where all is
// well.
func (t Token) TriesNote(r Role) string { return tries{flags: t.PIN(r)}.note() }

// CheckLength refuses a PIN that the token cannot have for its length: some
// count that as a try.
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

// tries is what is known of the tries that a PIN has left.
type tries struct {
	left    int
	counted bool // left was read from the card
	flags   PINState
}

func (l Login) triesLeft(ctx context.Context, t Token) (tries, error) {
	if l.Tries == nil {
		return tries{left: t.UserPIN.Tries(), flags: t.UserPIN}, nil
	}
	left, err := l.Tries(ctx)
	if left == UnknownTries && t.UserPIN.Tries() != SeveralTries {
		return tries{left: t.UserPIN.Tries(), flags: t.UserPIN}, err
	}
	return tries{left: left, counted: err == nil && left >= 0, flags: t.UserPIN}, err
}

// check refuses a PIN that is blocked, or would be after one more mistake, or
// may be.
func (t tries) check(module string, l Login) error {
	switch {
	case t.left == 0:
		return problem.New(problem.PINBlocked, "%s: the user PIN is blocked", module).WithTries(0).
			Because("It was entered wrongly too often, or never set.").Hint("cardctl unblock-pin user")
	case t.left == 1 && !l.AllowLastTry:
		return problem.New(problem.PINBlocked, "%s: one try is left for the user PIN, and it was not sent", module).WithTries(1).
			Because("A mistake would block it.").Hint("the same command with --allow-last-try")
	case t.left < 0 && !l.AllowUnknownTries:
		return problem.New(problem.PINBlocked, "%s: it is not known how many tries the user PIN has left, and it was not sent", module).
			Because("A mistake could block it.").Hint("the same command with --allow-unknown-tries")
	}
	return nil
}

// note is what a person at a prompt has to know.
func (t tries) note() string {
	switch {
	case t.counted && t.left == 1:
		return "1 try left"
	case t.counted:
		return fmt.Sprintf("%d tries left", t.left)
	case t.flags.FinalTry:
		return "last try"
	case t.flags.CountLow:
		return "it was wrong before, few tries are left"
	}
	return ""
}

// explain makes a problem of a login that failed, with the tries that are left
// after it. Modules do not agree on what they return for a wrong PIN: OpenSC
// has CKR_USER_NOT_LOGGED_IN for wrong and for blocked where the card answers
// 6982. The card's counter knows.
func (t tries) explain(module string, before tries, err error) error {
	code := CodeOf(err)
	blockedNow := t.counted && t.left == 0 || code == pkcs11.CKR_PIN_LOCKED
	wrong := code == pkcs11.CKR_PIN_INCORRECT || code == pkcs11.CKR_PIN_INVALID || code == pkcs11.CKR_PIN_LEN_RANGE ||
		t.counted && before.counted && t.left < before.left ||
		!t.counted && code == pkcs11.CKR_USER_NOT_LOGGED_IN

	var p *problem.Error
	switch {
	case blockedNow:
		p = problem.New(problem.PINBlocked, "%s: wrong user PIN, and it is blocked now [%s]", module, code).WithTries(0).
			Because("No try is left.").Hint("cardctl unblock-pin user")
	case wrong && t.counted:
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
