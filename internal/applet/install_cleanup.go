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
	left := w.brought()
	if len(left) == 0 {
		return cause
	}
	w.state = problem.Sentences(replaced, fmt.Sprintf("%s may be on the card.", left))
	if errors.Is(cause, iso7816.ErrCardRemoved) || errors.Is(cause, iso7816.ErrCardReset) {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanUpTime)
	defer cancel()
	w.step("cleaning up", 0)
	if w.remove(ctx, cause) == nil {
		w.state = problem.Sentences(replaced, "What was loaded was deleted again.")
		if !w.loaded {
			w.state = "What was installed was deleted again."
		}
	}
	return w.sized(ctx, cause)
}

// brought names what this run may have put on the card; "" for nothing.
func (w *installation) brought() string {
	switch {
	case w.loaded:
		return fmt.Sprintf("The package %s", w.plan.Package.AID)
	case len(w.installed) > 0:
		return aids(w.installed)
	}
	return ""
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
	if w.loaded && !w.complete && !w.looked {
		// A card drops what it was not sent whole. A package that is there
		// all the same may have been there before.
		return w.absent(ctx, w.plan.Package.AID, errors.New("the package is on the card"))
	}
	mine := append([]gp.AID{}, w.installed...)
	if w.loaded {
		mine = append(mine, w.plan.Package.AID)
	}
	for _, aid := range mine {
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
	if find(entries, aid) != nil {
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
