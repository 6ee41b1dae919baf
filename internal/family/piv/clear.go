package piv

import (
	"context"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/secret"
)

// clear empties the objects of a card that cannot be reset, one by one, and gives it a
// new identity. What the card does not let go stays, and is reported.
func (w *work) clear(ctx context.Context) error {
	if err := w.manageNamed(ctx, w.given[secret.CurrentManagementKey], secret.CurrentManagementKey); err != nil {
		return err
	}
	w.state = "Some objects of the card are deleted." + toFinish
	selected, err := w.application(ctx)
	if err != nil {
		return err
	}
	for _, object := range app.Objects() {
		err := selected.PutData(ctx, object, nil)
		if err != nil && iso7816.StatusOf(err) == 0 {
			return err
		}
		if err == nil {
			continue
		}
		content, failed := selected.GetData(ctx, object)
		switch {
		case failed != nil && iso7816.StatusOf(failed) == 0:
			return failed
		case failed != nil || content != nil:
			w.report.Stayed = append(w.report.Stayed, fmt.Sprintf("object %X", uint32(object)))
		}
	}
	if err := w.writeIdentity(ctx); err != nil {
		return err
	}
	w.state, w.report.Erased = "", true
	w.report.Serial = w.seen.serial
	return nil
}
