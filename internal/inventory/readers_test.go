package inventory

import (
	"context"
	"io"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
)

// crowd are simulated cards; each is connected to when meet returns.
type crowd struct {
	cards map[string]*cardsim.Card
	meet  func()
}

func (c crowd) Connect(ctx context.Context, name string) (iso7816.Connection, error) {
	c.meet()
	return c.cards[name].Connect(ctx)
}

func (c crowd) List() ([]cardsim.Info, error) {
	return []cardsim.Info{{Name: "one"}, {Name: "other"}}, nil
}

// TestCardsAreLookedAtSideBySide has each card wait until the other is looked at
// too, and with a trace be looked at alone.
func TestCardsAreLookedAtSideBySide(t *testing.T) {
	cards := map[string]*cardsim.Card{"one": newCard(t, ""), "other": newCard(t, "")}
	var looking atomic.Int32
	both := make(chan struct{})
	for name, test := range map[string]struct {
		trace io.Writer
		meet  func()
	}{
		"untraced": {nil, func() {
			if looking.Add(1) == 2 {
				close(both)
			}
			select {
			case <-both:
			case <-time.After(time.Minute):
				t.Error("the other card is not looked at")
			}
		}},
		"traced": {io.Discard, func() {
			if looking.Add(1) != 1 {
				t.Error("the cards are looked at side by side")
			}
			time.Sleep(time.Millisecond)
			looking.Add(-1)
		}},
	} {
		looking.Store(0)
		d := &desk.Desk{Simulated: crowd{cards, test.meet}, Trace: test.trace}
		d.Meant.Reader = desk.SimulatedPrefix
		list, _, err := Readers(t.Context(), d, false)
		if err != nil || len(list) != 2 {
			t.Fatalf("%s: %v, %v", name, list, err)
		}
		for i, want := range []string{"sim:one", "sim:other"} {
			if list[i].Name != want || list[i].Err != nil || list[i].Card == nil {
				t.Errorf("%s: %+v", name, list[i])
			}
		}
	}
}
