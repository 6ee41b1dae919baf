package pin

import (
	"context"
	"errors"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// TestACardThatGoesBeforeTheProof is one that is gone, and not a failure of the
// change.
func TestACardThatGoesBeforeTheProof(t *testing.T) {
	w := newWorld()
	done := func(context.Context, *secret.Bytes, *secret.Bytes) error { return nil }
	gone := func(context.Context, *secret.Bytes) error { return iso7816.ErrCardRemoved }
	err := w.policy(Allow{}).Change(t.Context(), Change{By: w.pin(), New: w.pin(), Set: done, Prove: gone})
	var told *StateError
	if !errors.Is(err, iso7816.ErrCardRemoved) || problem.Is(err, problem.Failed) || !errors.As(err, &told) || told.State != stateUnknown {
		t.Error(err)
	}
}
