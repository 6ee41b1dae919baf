package piv

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// erase resets the card. It is asked first without a PIN being blocked: a card that has
// no such command, or is blocked already, costs no try.
func (w *work) erase(ctx context.Context) error {
	done, err := w.reset(ctx)
	if err != nil || done {
		return w.erased(ctx, err)
	}
	w.state = stateGuessing
	for _, guess := range []func(context.Context) (int, error){w.guessPIN, w.guessPUK} {
		if err := block(ctx, guess); err != nil {
			return err
		}
	}
	w.drop()
	done, err = w.reset(ctx)
	if err == nil && !done {
		done, err = w.unblocked(ctx)
	}
	if err != nil || done {
		return w.erased(ctx, err)
	}
	w.state = "PIN and PUK are blocked, and the keys are still on the card."
	return problem.New(problem.Failed, "the card refused to be reset").
		Because("It gave no reason, although its condition for a reset is met.")
}

// reset is RESET: done, or not done because PIN and PUK are not blocked. Where the answer
// leaves that open, it is not known.
func (w *work) reset(ctx context.Context) (done bool, err error) {
	selected, err := w.application(ctx)
	if err != nil {
		return false, err
	}
	before := w.state
	w.state = stateErasing
	err = selected.Reset(ctx)
	switch status := iso7816.StatusOf(err); {
	case err == nil:
		w.factory()
		return true, nil
	case status == iso7816.StatusConditionsNotSatisfied || status == iso7816.StatusSecurityNotSatisfied:
		w.state = before
		return false, nil
	case iso7816.Refused(err) || errors.Is(err, errors.ErrUnsupported):
		w.state = before
		return false, err
	}
	return false, err
}

// factory notes that the card was reset.
func (w *work) factory() {
	w.state = stateFactory
	w.drop()
	if !w.seen.numbered {
		w.seen = identityOf(nil)
	}
}

// unblocked reports whether a card that refused to be reset was reset all the same: then
// its PIN, which was blocked, has its tries again.
func (w *work) unblocked(ctx context.Context) (bool, error) {
	left, err := w.tries(ctx, w.pinRef, true)
	switch {
	case err != nil || !left.Known():
		w.state = stateErasing
		return false, err
	case left.None():
		return false, nil
	}
	w.factory()
	return true, nil
}

// erased looks, at one key or certificate, whether a card that called itself reset was.
func (w *work) erased(ctx context.Context, err error) error {
	var there bool
	var ref key.Reference
	switch {
	case err != nil:
		return err
	case len(w.withKey) > 0:
		k := w.key(w.withKey[0])
		ref = k.ref
		there, err = k.holdsKey(ctx)
	case len(w.withCertificate) > 0:
		k := w.key(w.withCertificate[0])
		var length int
		ref = k.ref
		length, err = k.certificateLength(ctx)
		there = length > 0
	}
	if err != nil {
		w.state = stateErasing
		return err
	}
	if !there {
		return nil
	}
	w.state = "The keys are still on the card." + toFinish
	return problem.New(problem.Failed, "the card was not erased").
		Because("The card reported success, but there is still something in %s.", ref)
}

// block sends guesses until none is left. It is the one place where what was not accepted
// is followed by another: that is what it is for. A guess that is accepted is too.
func block(ctx context.Context, guess func(context.Context) (left int, err error)) error {
	const most = 260 // guesses
	before := uncountable + 1
	for range most {
		left, err := guess(ctx)
		switch {
		case err != nil:
			return err
		case left == 0:
			return nil
		case left >= before && left < uncountable:
			return problem.New(problem.Failed, "the card does not count wrong PINs, so it cannot be reset").
				Because("PIN and PUK must be blocked for that, and %d tries are left after each wrong one.", left)
		}
		before = left
	}
	return fmt.Errorf("the card is not blocked after %d wrong PINs", most)
}

const (
	// uncountable is what 63Cx has room for: there may be more tries left.
	uncountable = 15
	// accepted is how many tries are left after a guess that was right: any number.
	accepted = 16
	// uncounted is a wrong PIN of old cards, without a number.
	uncounted iso7816.Status = 0x6300
)

func (w *work) guessPIN(ctx context.Context) (int, error) {
	selected, err := w.application(ctx)
	if err != nil {
		return 0, err
	}
	value, err := guess()
	if err != nil {
		return 0, err
	}
	defer value.Wipe()
	return triesAfter(selected.Verify(ctx, w.pinRef, value))
}

// guessPUK changes the PUK by a guess, which is the way that leaves the PIN as it is.
func (w *work) guessPUK(ctx context.Context) (int, error) {
	selected, err := w.application(ctx)
	if err != nil {
		return 0, err
	}
	old, err := guess()
	if err != nil {
		return 0, err
	}
	defer old.Wipe()
	replacement, err := guess()
	if err != nil {
		return 0, err
	}
	defer replacement.Wipe()
	return triesAfter(selected.ChangeReferenceData(ctx, app.PUK, old, replacement))
}

func triesAfter(err error) (int, error) {
	var wrong *app.PINError
	switch {
	case err == nil:
		return accepted, nil
	case errors.As(err, &wrong):
		return wrong.TriesLeft, nil
	case iso7816.StatusOf(err) == uncounted:
		return uncountable, nil
	}
	return 0, err
}

// guess is a PIN of eight digits, which every card takes for one.
func guess() (*secret.Bytes, error) {
	n, err := rand.Int(rand.Reader, big.NewInt(100_000_000))
	if err != nil {
		return nil, err
	}
	return secret.New(fmt.Appendf(nil, "%08d", n)), nil
}
