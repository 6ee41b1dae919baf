package piv

import (
	"context"
	"crypto"
	"errors"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// errLook says that the card has to be asked about the key before it is used.
var errLook = errors.New("the card was not asked about the key")

// useUnseen is use of a key that the caller expects to be a certain one, and whose
// signatures it verifies: the card is not asked about it. The PIN is verified as the card
// told before it was released, or else as the slot has it (part 1, table 4b). It is errLook, and the PIN was not sent, where a person would
// be asked for it, or nobody can: the policy may have it that there is no need to.
func (k *slotKey) useUnseen(ctx context.Context, expected crypto.PublicKey, touch string, work func(*app.Card) ([]byte, error)) ([]byte, error) {
	selected, err := k.fresh(ctx)
	policy := k.pinPolicy(&k.before)
	verifies := policy == app.PINAlways || policy == app.PINOnce && k.verified != selected
	if err == nil && verifies {
		err = k.sendPIN(ctx, k.access.Policy.Before(func() error { return errLook }), func(context.Context) error { return nil })
		if problem.Is(err, problem.Usage) {
			return nil, errLook
		}
	}
	if err != nil {
		return nil, err
	}
	if selected, err = k.application(ctx); err != nil {
		return nil, err
	}
	done := k.mayWait(touch)
	answer, err := work(selected)
	done()
	switch status := iso7816.StatusOf(err); {
	case status == iso7816.StatusSecurityNotSatisfied && !verifies: // it may be for the PIN
		return nil, errLook
	case slices.Contains(noSuchKey, status):
		return nil, errors.Join(k.asExpected(ctx, expected), err)
	}
	return answer, err
}

// mayWait tells the user, if the card does not answer soon, that it may wait for a touch:
// it was not asked whether it does.
func (k *slotKey) mayWait(touch string) (done func()) {
	const soon = time.Second
	answered, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-time.After(soon):
			k.access.Notify("if the card waits for it, " + touch)
		case <-answered:
		}
	}()
	return func() {
		close(answered)
		<-ended
	}
}

// asExpected says what is in the slot, if it is not the key that was expected.
func (k *slotKey) asExpected(ctx context.Context, expected crypto.PublicKey) error {
	now, err := k.look(ctx)
	switch {
	case err != nil:
		return err
	case now.state == empty:
		return app.ErrEmpty
	case now.public != nil && !pubkey.Same(now.public, expected):
		return problem.New(problem.Mismatch, "%s: another key is on the card than was expected", k.ref).
			Because("The key on the card is %s.", pubkey.Fingerprint(now.public)).Advise(advice.Do(advice.ShowCard))
	}
	return nil
}
