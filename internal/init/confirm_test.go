package cardinit

import (
	"context"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// reader has one simulated card in it.
type reader struct{ card *cardsim.Card }

func (r reader) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	return r.card.Connect(ctx)
}

func (r reader) List() ([]cardsim.Info, error) { return nil, nil }

// TestNothingIsErasedThatWasNotConfirmed: without a yes no secret is asked for and
// nothing is written.
func TestNothingIsErasedThatWasNotConfirmed(t *testing.T) {
	card, err := cardsim.NewCard(cardsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	d := &desk.Desk{Simulated: reader{card}, Meant: desk.Selection{Reader: desk.SimulatedPrefix + "card", App: "openpgp"}, Detail: func(string, ...any) {}}
	asked := 0
	access := desk.Access{
		Ask: func(context.Context, secret.Request) (*secret.Bytes, error) {
			asked++
			return secret.New([]byte("87654321")), nil
		},
		Confirm: func(context.Context, desk.Question) error { return problem.New(problem.Refused, "not confirmed") },
		Now:     time.Now, Notify: func(string) {},
	}
	_, err = Initialise(t.Context(), d, access, Options{})
	if !problem.Is(err, problem.Refused) || asked > 0 || card.Traffic().Writes > 0 {
		t.Errorf("%v, asked %d times, %d writes", err, asked, card.Traffic().Writes)
	}
}
