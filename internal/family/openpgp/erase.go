package openpgp

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// withoutAdminPIN is the other condition under which a card lets itself be erased.
const withoutAdminPIN = "Without the current admin PIN, both PINs are blocked first and the card is then erased."

const (
	stateUserNew   = "The user PIN is the new one."
	stateErased    = "The card is erased but not yet activated." + toFinish
	stateStarted   = "The card is erased and has the factory PINs." + toFinish
	stateErasing   = "It is not known whether the card is erased." + toFinish
	stateStarting  = "The card is erased, but it is not known whether it is activated." + toFinish
	stateGuessing  = "The keys are still on the card, but PINs may be blocked." + toFinish
	stateUnblocked = "The keys are still on the card, but the PINs may have lost tries."
)

// erase makes the application as it came from the factory: TERMINATE DF, then
// ACTIVATE FILE.
func (w *work) erase(ctx context.Context) error {
	if !w.app.Terminated() {
		if err := w.permitTermination(ctx); err != nil {
			return err
		}
	}
	if !w.app.Terminated() {
		verified := w.app.Verified(app.PW3)
		err := w.terminate(ctx)
		if err != nil && w.state == stateGuessing {
			w.state = stateUnblocked // nor would the same command erase it
		}
		if err != nil {
			return explainTermination(err, verified)
		}
	}
	w.state = stateStarting
	activated := w.app.Activate(ctx)
	if activated != nil && iso7816.StatusOf(activated) == 0 {
		return activated
	}
	if err := w.reopen(ctx); err != nil {
		return err
	}
	if w.app.Terminated() {
		w.state = stateErased
		if activated == nil {
			activated = errors.New("the card confirmed that it was activated but is not")
		}
		return activated
	}
	w.state = stateStarted
	if err := w.checkErased(ctx); err != nil {
		return err
	}
	for _, ref := range []app.PasswordRef{app.PW1, app.PW3} {
		w.access.Policy.Renewed(w.described(ref))
	}
	return nil
}

// reopen selects the application again: it tells whether it is terminated.
func (w *work) reopen(ctx context.Context) error {
	ch, err := w.line.Channel(ctx)
	if err != nil {
		return err
	}
	selected, err := app.Select(ctx, ch)
	if err != nil {
		return err
	}
	w.app = selected
	w.seen = seen{id: w.seen.id, terminated: selected.Terminated()}
	return nil
}

// terminate is TERMINATE DF. Where the answer leaves open whether the card did it,
// SELECT tells.
func (w *work) terminate(ctx context.Context) error {
	before := w.state
	w.state = stateErasing
	err := w.app.Terminate(ctx)
	switch {
	case err == nil:
		w.seen = seen{id: w.seen.id, terminated: true}
		return nil
	case iso7816.Refused(err):
		w.state = before
		return err
	case iso7816.StatusOf(err) == 0:
		return err
	}
	if failed := w.reopen(ctx); failed != nil {
		return failed
	}
	if w.app.Terminated() {
		return nil
	}
	w.state = before
	return err
}

// permitTermination verifies the current admin PIN, or else blocks both PINs,
// which is the other condition under which a card lets itself be erased.
func (w *work) permitTermination(ctx context.Context) error {
	if w.current != nil {
		return w.verifyCurrent(ctx)
	}
	// Cards are known to announce more than they do, and one that cannot be
	// erased would be left with two blocked PINs. One that can says that it
	// wants the admin PIN.
	err := w.terminate(ctx)
	switch status := iso7816.StatusOf(err); {
	case err == nil || status == 0 || w.state == stateErasing:
		return err
	case status != iso7816.StatusSecurityNotSatisfied && status != iso7816.StatusConditionsNotSatisfied:
		p := problem.New(problem.NotSupported, "this card cannot be erased without its admin PIN").
			Because("The card answered TERMINATE DF with %s.", status).
			Advise(advice.Repeat(advice.Ask(secret.CurrentAdminPIN)))
		p.Cause = err
		return p
	}
	w.state = stateGuessing
	for _, ref := range []app.PasswordRef{app.PW1, app.PW3} {
		if err := w.block(ctx, ref); err != nil {
			return err
		}
	}
	return nil
}

// block sends wrong PINs until none is left. It is the one place where what was
// not accepted is sent again: that is what it is for.
func (w *work) block(ctx context.Context, ref app.PasswordRef) error {
	const most = 255 // guesses that a card can count
	lengths, err := w.app.GuessLengths(ctx)
	if err != nil {
		return err
	}
	_, data, err := w.data(ctx)
	if err != nil {
		return err
	}
	left := data.Passwords.Status(ref).TriesLeft
	for round := 0; round < most && len(lengths) > 0; round++ {
		if left > 0 || round == 0 {
			err := w.app.Guess(ctx, ref, lengths[0])
			switch status := iso7816.StatusOf(err); {
			case status == iso7816.StatusPINBlocked:
				return nil
			case status == iso7816.StatusWrongLength || status == iso7816.StatusWrongData:
				lengths = lengths[1:] // not counted
				continue
			case err != nil && status == 0:
				return err
			}
			if left--; left > 0 {
				continue
			}
		}
		status, err := w.app.PasswordStatus(ctx)
		if err != nil && iso7816.StatusOf(err) == 0 {
			return err
		}
		now := status.Status(ref)
		if err != nil || !now.Known || now.TriesLeft == 0 {
			return nil // blocked, or TERMINATE DF says that it is not
		}
		left = now.TriesLeft
	}
	w.state = stateUnblocked
	return problem.New(problem.NotSupported, "this card cannot be erased without its admin PIN").
		Because("Both PINs must be blocked for that, but the card does not count wrong ones.").
		Advise(advice.Repeat(advice.Ask(secret.CurrentAdminPIN)))
}

// explainTermination tells what helps with a card that wants both PINs blocked,
// whether the admin PIN is right or not.
func explainTermination(err error, verified bool) error {
	status := iso7816.StatusOf(err)
	if !verified || status != iso7816.StatusSecurityNotSatisfied && status != iso7816.StatusConditionsNotSatisfied {
		return err
	}
	p := problem.New(problem.NotSupported, "this card cannot be erased with its admin PIN").
		Because("The card accepted the PIN but answered TERMINATE DF with %s. %s", status, withoutAdminPIN).
		Advise(advice.Repeat().Without(advice.Field(secret.CurrentAdminPIN)))
	p.Cause = err
	return p
}

// verifyCurrent sends the admin PIN that the user names. A wrong one ends the
// work.
func (w *work) verifyCurrent(ctx context.Context) error {
	p, err := w.pin(ctx, app.PW3)
	if err != nil {
		return err
	}
	p.Secret, p.Final = secret.CurrentAdminPIN, withoutAdminPIN
	p.Rescue = advice.Repeat().Without(advice.Field(secret.CurrentAdminPIN))
	return w.access.Policy.Given(w.current).Send(ctx, p, w.verify(app.PW3))
}

// checkErased reads back that no key is left.
func (w *work) checkErased(ctx context.Context) error {
	_, data, err := w.data(ctx)
	if err != nil {
		return err
	}
	for _, slot := range app.Slots() {
		if holdsKey(data.Key(slot)) {
			return fmt.Errorf("the card confirmed its erasure but still has the %s key", slot)
		}
	}
	return nil
}
