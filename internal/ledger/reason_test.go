package ledger

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

// TestReason holds that a ledger that said nothing is told in words of its own.
func TestReason(t *testing.T) {
	for want, err := range map[string]error{
		"the ledger does not answer": fmt.Errorf("timeout: %w", context.DeadlineExceeded),
		"it is full":                 errors.New("it is full"),
		"its disk is full.":          problem.New(problem.Failed, "it failed").Because("its disk is full."),
	} {
		if got := reason(err); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
