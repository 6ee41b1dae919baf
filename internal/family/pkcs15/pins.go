package cardinit

import (
	"context"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// SetPKCS15PIN changes a PIN of a PKCS#15 card: user, so or puk, as far as the
// card has it.
func SetPKCS15PIN(ctx context.Context, card *pkcs15.Card, pin PIN, access key.Access) (PINReport, error) {
	report, what := PINReport{PIN: pin}, "set-pin "+string(pin)
	p, name, err := choosePIN(ctx, card, pin, &report)
	if err != nil {
		return report, key.Explain(err, what, "")
	}
	state := pinUnchanged
	err = key.AskPKCS15PIN(ctx, p, name, access, func(old *secret.Bytes) error {
		return withNew(ctx, p, access, func(replacement *secret.Bytes) error {
			err := card.ChangePIN(ctx, p, old, replacement)
			state = afterChange(err)
			return err
		})
	})
	return report, key.Explain(err, what, state)
}

// UnblockPKCS15PIN gives the user PIN or the SO PIN its tries back and a new
// value, by its PUK.
func UnblockPKCS15PIN(ctx context.Context, card *pkcs15.Card, pin PIN, with secret.Name, access key.Access) (PINReport, error) {
	report, what := PINReport{PIN: pin}, "unblock-pin "+string(pin)
	if pin != User && pin != SO || with != secret.PUK {
		return report, problem.New(problem.NotSupported, "%s: a PKCS#15 card cannot do that", what).
			Because("A PIN is unblocked with --puk.").Hint("cardctl unblock-pin user --puk prompt --new-pin prompt")
	}
	p, _, err := choosePIN(ctx, card, pin, &report)
	if err != nil {
		return report, key.Explain(err, what, "")
	}
	byPUK, err := card.PUK(ctx, p)
	if err != nil {
		return report, key.Explain(err, what, "")
	}
	state := pinUnchanged
	err = key.AskPKCS15PIN(ctx, byPUK, secret.PUK, access, func(puk *secret.Bytes) error {
		return withNew(ctx, p, access, func(replacement *secret.Bytes) error {
			err := card.UnblockPIN(ctx, p, byPUK, puk, replacement)
			state = afterChange(err)
			return err
		})
	})
	return report, key.Explain(err, what, state)
}

// choosePIN finds the PIN on the card, and the secret's name.
func choosePIN(ctx context.Context, card *pkcs15.Card, pin PIN, report *PINReport) (pkcs15.PIN, secret.Name, error) {
	d, err := card.Token(ctx)
	if err != nil {
		return pkcs15.PIN{}, "", err
	}
	report.Serial = d.Serial
	var found *pkcs15.PIN
	name := secret.PIN
	switch pin {
	case User:
		found = d.UserPIN()
	case SO:
		found, name = d.SOPIN(), secret.SOPIN
	case PUK:
		found, name = d.PUK(), secret.PUK
	}
	if found != nil {
		p := *found
		p.TriesLeft, err = card.Tries(ctx, p)
		return p, name, err
	}
	missing := problem.New(problem.NotSupported, "this card has no %s PIN that can be changed", pin)
	if pin == PUK {
		missing = problem.New(problem.NotSupported, "the PUK of this card cannot be changed")
	}
	if card.OnePIN() {
		return pkcs15.PIN{}, "", missing.Because("It has a single PIN, user; its PUK was set when it was initialised, and stays.")
	}
	if pin == PUK {
		return pkcs15.PIN{}, "", missing.Because("It was set when the card was initialised, and stays.").Hint("cardctl init --app pkcs15 sets all PINs anew")
	}
	return pkcs15.PIN{}, "", missing.Because("Its PINs are those that cardctl info shows.")
}

// withNew asks for the new value of a PIN.
func withNew(ctx context.Context, p pkcs15.PIN, access key.Access, use func(*secret.Bytes) error) error {
	replacement, err := access.Ask(ctx, secret.Request{Name: secret.NewPIN, Label: "new " + p.Name(), New: true})
	if err != nil {
		return err
	}
	defer replacement.Wipe()
	if err := p.CheckLength(replacement); err != nil {
		return err
	}
	return use(replacement)
}
