package provision

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/ledger"
)

// lostRace says that somebody got another card between the claim of their row and the work on
// the card, such as by another table: a card that the row does not name is for the next one.
func (w *work) lostRace(err error) bool {
	var second *ledger.SecondError
	return errors.As(err, &second) && w.entry == nil && w.lease != nil && w.lease.Row.Serial == ""
}

// nextRow leaves the row, and finds another one for the card, on which nothing was changed.
func (w *work) nextRow(ctx context.Context) error {
	lease := w.lease
	w.lease = nil
	if err := lease.Free(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	w.leave()
	w.steps, w.question, w.former, w.erases = nil, nil, nil, false
	return w.forWhom(ctx)
}

// leave notes that a row has no card.
func (w *work) leave() {
	w.run.turn.Lock()
	defer w.run.turn.Unlock()
	w.run.stages[w.index] = free
	w.index, w.report.Row, w.report.Person = -1, 0, ""
}
