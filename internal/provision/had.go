package provision

import "context"

// had reports whether the ledger has the card with a key in a place. If it is not there, it
// is another card with the same serial, or somebody erased it: then neither the PINs that
// the ledger has are its own, nor what was done to it.
func (w *work) had(ctx context.Context, ref string) (bool, error) {
	if w.known == nil || w.known.State.Ended() { // it is given out anew
		return false, nil
	}
	return w.run.o.Ledger.HadKey(ctx, w.serial, ref)
}

// lacksKey is the error of a card without a key that the ledger has of it.
func (w *work) lacksKey(name, ref string) error {
	return w.wrong(name, "it lacks the key "+ref+" that the ledger has of it",
		"It is another card with the same serial, or it was erased. Mark a card that was erased as damaged, and start it again with init: always.")
}
