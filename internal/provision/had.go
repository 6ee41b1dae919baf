package provision

import (
	"context"
	"encoding/json"

	"github.com/cardctl/cardctl/internal/ledger"
)

// had reports whether the ledger has the card with a key in a place. If it is not there, it
// is another card with the same serial, or somebody erased it: then neither the PINs that
// the ledger has are its own, nor what was done to it.
func (w *work) had(ctx context.Context, ref string) (had bool, err error) {
	if w.known == nil || w.known.State.Ended() { // it is given out anew
		return false, nil
	}
	err = w.run.o.Ledger.Events(ctx, ledger.EventFilter{Serial: w.serial}, func(e ledger.Event) error {
		var record struct {
			What, Note, Ref, Gone string
			Init, Over            bool
			Data                  struct{ Ref string }
		}
		if json.Unmarshal(e.Data, &record) != nil || record.Over {
			return nil
		}
		switch record.What {
		case "begin":
			had = had && !record.Init
		case "erased":
			had = false
		case "gone":
			had = had && (record.Ref != ref || record.Gone == "certificate")
		case "certified":
			had = had || record.Ref == ref
		case "note":
			had = had || record.Note == "key" && record.Data.Ref == ref
		}
		return nil
	})
	return had, err
}

// lacksKey is the error of a card without a key that the ledger has of it.
func (w *work) lacksKey(name, ref string) error {
	return w.wrong(name, "it lacks the key "+ref+" that the ledger has of it",
		"It is another card with the same serial, or it was erased. Mark a card that was erased as damaged, and start it again with init: always.")
}
