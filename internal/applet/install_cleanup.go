package applet

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// cleanUpTime is how long what was loaded may take to be removed, also after
// an interruption.
const cleanUpTime = 30 * time.Second

// cleanUp removes what this run put on the card, after cause. Where that does
// not work, the state says what stayed and how to remove it.
func (w *installation) cleanUp(ctx context.Context, cause error) error {
	replaced := deleted(w.gone)
	if !w.loaded {
		return cause
	}
	w.state = problem.Sentences(replaced, fmt.Sprintf("The package %s may be on the card.", w.plan.Package.AID))
	if errors.Is(cause, iso7816.ErrCardRemoved) || errors.Is(cause, iso7816.ErrCardReset) {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	w.step("cleaning up", 0)
	if w.remove(ctx, cause) == nil {
		w.state = problem.Sentences(replaced, "What was loaded was deleted again.")
	}
	return w.sized(ctx, cause)
}

// remove deletes the instances of this run, then the package. What is not
// there needs no deletion. After an answer that leaves something open, the card
// and this side may not agree on the secure channel.
func (w *installation) remove(ctx context.Context, cause error) error {
	if w.domain.Session() == nil || !w.domain.Session().Open() || !iso7816.Refused(cause) {
		if err := w.reopen(ctx); err != nil {
			return err
		}
	}
	if !w.complete && !w.looked {
		// A card drops what it was not sent whole. A package that is there
		// all the same may have been there before.
		return w.absent(ctx, w.plan.Package.AID, errors.New("the package is on the card"))
	}
	for _, aid := range append(append([]gp.AID{}, w.installed...), w.plan.Package.AID) {
		_, err := w.delete(ctx, w.plan.kindOf(aid), aid, false)
		switch iso7816.StatusOf(err) {
		case iso7816.StatusReferenceNotFound, iso7816.StatusFileNotFound, iso7816.StatusWrongData:
			err = w.absent(ctx, aid, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// absent reports whether what could not be deleted is not on the card.
func (w *installation) absent(ctx context.Context, aid gp.AID, refused error) error {
	entries, err := w.domain.Status(ctx, w.plan.kindOf(aid), aid)
	if err == nil && find(entries, aid) != nil {
		return refused
	}
	return err
}

// sized adds to a card that is full what it says of its memory.
func (w *installation) sized(ctx context.Context, cause error) error {
	if s := iso7816.StatusOf(cause); s != iso7816.StatusNoSpace && s != iso7816.StatusMemoryFailure {
		return cause
	}
	memory, err := w.domain.Resources(ctx)
	if err != nil {
		return cause
	}
	w.state = problem.Sentences(w.state, fmt.Sprintf("The package has %d bytes; the card reports that %d are free.", w.plan.LoadSize, memory.NonVolatile))
	return cause
}
