//go:build cgo

package smoke_test

import (
	"context"
	"errors"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/smoke"
	"github.com/cardctl/cardctl/test/softhsm"
)

// TestACardThatTheModuleDoesNotShow is not there any more, or the module does not
// know it: the card's own line tells.
func TestACardThatTheModuleDoesNotShow(t *testing.T) {
	token := softhsm.New(t, "there")
	for want, there := range map[problem.Code]error{
		problem.CardRemoved: problem.New(problem.CardRemoved, "it was taken out"),
		problem.CardChanged: problem.New(problem.CardChanged, "it is another one"),
		problem.NotFound:    errors.New("it does not answer"),
	} {
		o := options(t, softhsm.Token{Serial: "00", PIN: token.PIN}, "%01")
		o.There = func(context.Context) error { return there }
		if _, err := smoke.RunAll(t.Context(), []smoke.Options{o}); !problem.Is(err, want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}
