package cardinit

import (
	"context"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// PIN is one of a card's PINs, as users name it.
type PIN string

// The PINs of the command line's contract.
const (
	User      PIN = "user"
	Admin     PIN = "admin"
	SO        PIN = "so"
	PUK       PIN = "puk"
	ResetCode PIN = "reset-code"
)

// label is the PIN in a question.
func (p PIN) label() string {
	if p == ResetCode {
		return "resetting code"
	}
	return string(p) + " PIN"
}

// PINReport is what SetPIN and UnblockPIN did.
type PINReport struct {
	Serial string `json:"serial"`
	PIN    PIN    `json:"pin"`
}

const (
	pinUnchanged = "The PIN is the old one."
	pinUnknown   = "Whether the card took the new PIN is not known: the tries left, which cardctl info shows, do not change by looking."
)

// afterChange is what the PIN is when the command that changes it has failed: the
// old one, where the card answered.
func afterChange(err error) string {
	if iso7816.StatusOf(err) != 0 || problem.Is(err, problem.PINIncorrect) || problem.Is(err, problem.PINBlocked) {
		return pinUnchanged
	}
	return pinUnknown
}

// SetPIN changes a PIN, or sets the resetting code.
func SetPIN(ctx context.Context, ch *iso7816.Channel, pin PIN, access key.Access) (PINReport, error) {
	what := "set-pin " + string(pin)
	card, report, err := open(ctx, ch, pin, what)
	if err != nil {
		return report, err
	}
	state := pinUnchanged
	change := func(ref openpgp.PasswordRef, old *secret.Bytes) error {
		replacement, err := askNew(ctx, card, access, secret.NewPIN, ref, "new "+pin.label())
		if err != nil {
			return err
		}
		defer replacement.Wipe()
		if ref == openpgp.ResettingCode {
			err = card.PutResettingCode(ctx, replacement)
		} else {
			err = card.ChangeReferenceData(ctx, ref, old, replacement)
		}
		state = afterChange(err)
		return err
	}
	switch pin {
	case User:
		err = key.WithPassword(ctx, card, openpgp.PW1, secret.PIN, access, func(old *secret.Bytes) error {
			return change(openpgp.PW1, old)
		})
	case Admin:
		err = key.WithPassword(ctx, card, openpgp.PW3, secret.AdminPIN, access, func(old *secret.Bytes) error {
			return change(openpgp.PW3, old)
		})
	case ResetCode:
		if err = key.Unlock(ctx, card, openpgp.PW3, access); err == nil {
			err = change(openpgp.ResettingCode, nil)
		}
	}
	return report, key.Explain(err, what, state)
}

// UnblockPIN gives the user PIN its tries back and a new value, by the admin
// PIN or the resetting code.
func UnblockPIN(ctx context.Context, ch *iso7816.Channel, pin PIN, with secret.Name, access key.Access) (PINReport, error) {
	what := "unblock-pin " + string(pin)
	card, report, err := open(ctx, ch, pin, what)
	if err != nil {
		return report, err
	}
	if pin != User || with != secret.AdminPIN && with != secret.ResetCode {
		return report, problem.New(problem.NotSupported, "%s: an OpenPGP card cannot do that", what).
			Because("The user PIN is unblocked with --admin-pin or --reset-code; a blocked admin PIN is the end of the card's contents.").
			Hint("cardctl unblock-pin user --admin-pin prompt --new-pin prompt")
	}
	state := pinUnchanged
	unblock := func(send func(*secret.Bytes) error) error {
		replacement, err := askNew(ctx, card, access, secret.NewPIN, openpgp.PW1, "new user PIN")
		if err != nil {
			return err
		}
		defer replacement.Wipe()
		err = send(replacement)
		state = afterChange(err)
		return err
	}
	if with == secret.ResetCode {
		err = key.WithPassword(ctx, card, openpgp.ResettingCode, secret.ResetCode, access, func(code *secret.Bytes) error {
			return unblock(func(replacement *secret.Bytes) error {
				return card.ResetRetryCounterByCode(ctx, code, replacement)
			})
		})
	} else if err = key.Unlock(ctx, card, openpgp.PW3, access); err == nil {
		err = unblock(func(replacement *secret.Bytes) error { return card.ResetRetryCounter(ctx, replacement) })
	}
	return report, key.Explain(err, what, state)
}

func open(ctx context.Context, ch *iso7816.Channel, pin PIN, what string) (*openpgp.Card, PINReport, error) {
	report := PINReport{PIN: pin}
	switch pin {
	case User, Admin, ResetCode, SO, PUK:
	default:
		return nil, report, problem.New(problem.Usage, "%q is not a PIN", string(pin)).
			Because("The PINs are user, admin, so, puk and reset-code.")
	}
	card, err := openpgp.Select(ctx, ch)
	switch {
	case err != nil:
		return nil, report, key.Explain(err, what, "")
	case pin == SO, pin == PUK:
		return nil, report, problem.New(problem.NotSupported, "%s: an OpenPGP card has no such PIN", what).
			Because("It has user, admin and reset-code.")
	}
	data, err := card.ApplicationRelatedData(ctx)
	if err != nil {
		return nil, report, key.Explain(err, what, "")
	}
	report.Serial = data.AID.Serial()
	return card, report, nil
}

// askNew asks for a PIN that is to be set and checks its length. A terminated
// card tells no limits; its PINs are checked when it is started again.
func askNew(ctx context.Context, card *openpgp.Card, access key.Access, name secret.Name, ref openpgp.PasswordRef, label string) (*secret.Bytes, error) {
	note := fmt.Sprintf("at least %d characters", ref.MinLength())
	pin, err := access.Ask(ctx, secret.Request{Name: name, Label: label, Note: note, New: true})
	if err != nil || card.Terminated() {
		return pin, err
	}
	if err := key.CheckLength(ctx, card, ref, pin); err != nil {
		pin.Wipe()
		return nil, err
	}
	return pin, nil
}
