package cardinit

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// erase makes the application as it came from the factory: TERMINATE DF, then
// ACTIVATE FILE.
func (w *work) erase(ctx context.Context, c contents) error {
	if !c.terminated {
		if err := w.permitTermination(ctx, c); err != nil {
			return err
		}
	}
	if !w.card.Terminated() {
		if err := w.card.Terminate(ctx); err != nil {
			return explainTermination(err, w.card.Verified(openpgp.PW3))
		}
	}
	w.state = "The card is erased and not started again; the same command again completes it."
	if err := w.card.Activate(ctx); err != nil {
		return err
	}
	w.state = "The card is erased and has the factory's PINs; the same command again completes it."
	fresh, err := openpgp.Select(ctx, w.ch)
	if err != nil {
		return err
	}
	w.card = fresh
	return w.checkErased(ctx)
}

// permitTermination verifies the current admin PIN, or else blocks both PINs,
// which is the other condition under which a card lets itself be erased.
func (w *work) permitTermination(ctx context.Context, c contents) error {
	data := c.data
	current, err := w.options.Access.Ask(ctx, secret.Request{Name: secret.CurrentAdminPIN, Optional: true})
	if err != nil {
		return err
	}
	if current != nil {
		defer current.Wipe()
		err := w.verifyCurrent(ctx, data, current)
		if err == nil || len(c.lost) > 0 || !isWrongPIN(err) && !problem.Is(err, problem.PINBlocked) {
			return err
		}
		// There is nothing to lose, and an interrupted run may have changed
		// the PIN: the erasure that was confirmed goes the other way.
	}
	// Cards are known to announce more than they do, and one that cannot be
	// erased would be left with two blocked PINs. One that can says that it
	// wants the admin PIN.
	switch err := w.card.Terminate(ctx); iso7816.StatusOf(err) {
	case iso7816.StatusSecurityNotSatisfied, iso7816.StatusConditionsNotSatisfied:
	case 0:
		return err
	default:
		p := problem.New(problem.NotSupported, "this card cannot be erased without its admin PIN").
			Because("It answered TERMINATE DF with %s.", iso7816.StatusOf(err)).
			Hint("the same command with --current-admin-pin prompt")
		p.Cause = err
		return p
	}
	w.state = "Its keys are still there; PINs may be blocked; the same command again completes it."
	if err := w.card.Block(ctx, openpgp.PW1, data.Passwords.PW1.TriesLeft); err != nil {
		return err
	}
	return w.card.Block(ctx, openpgp.PW3, data.Passwords.PW3.TriesLeft)
}

// explainTermination tells what helps with a card that wants both PINs blocked,
// whether the admin PIN is right or not.
func explainTermination(err error, verified bool) error {
	status := iso7816.StatusOf(err)
	if !verified || status != iso7816.StatusSecurityNotSatisfied && status != iso7816.StatusConditionsNotSatisfied {
		return err
	}
	p := problem.New(problem.NotSupported, "this card is not erased with its admin PIN").
		Because("It took the PIN and answered TERMINATE DF with %s.", status).
		Hint("the same command without --current-admin-pin, which blocks both PINs first")
	p.Cause = err
	return p
}

func (w *work) verifyCurrent(ctx context.Context, data *openpgp.ApplicationRelatedData, current *secret.Bytes) error {
	left := data.Passwords.PW3.TriesLeft
	err := key.CheckTries(openpgp.PW3, left, w.options.Access.AllowLastTry)
	var blocked *problem.Error
	if errors.As(err, &blocked) && left == 0 {
		return blocked.Hint("the same command without --current-admin-pin")
	}
	if err != nil {
		return err
	}
	if err := key.CheckLength(ctx, w.card, openpgp.PW3, current); err != nil {
		return err
	}
	return w.card.Verify(ctx, openpgp.PW3, current)
}

// checkErased reads back that no key is left.
func (w *work) checkErased(ctx context.Context) error {
	data, err := w.card.ApplicationRelatedData(ctx)
	if err != nil {
		return err
	}
	for _, slot := range openpgp.Slots() {
		if k := data.Key(slot); k.State == openpgp.KeyGenerated || k.State == openpgp.KeyImported || k.Fingerprint != [20]byte{} {
			return problem.New(problem.Failed, "the card confirmed its erasure and still has the %s key", slot)
		}
	}
	return nil
}

func isWrongPIN(err error) bool {
	var wrong *openpgp.PasswordError
	return errors.As(err, &wrong)
}
