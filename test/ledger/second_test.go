package ledger_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
)

// rowFor claims the row of somebody in a plan of its own.
func rowFor(t *testing.T, l *ledger.Ledger, plan, serial string, row ledger.Row) *ledger.Lease {
	t.Helper()
	must(t, l.Offer(t.Context(), plan, []ledger.Row{row}))
	x, err := l.Claim(t.Context(), plan, serial)
	if err != nil || x == nil {
		t.Fatalf("%s: %v, %v", plan, x, err)
	}
	t.Cleanup(func() { _ = x.Free(context.Background()) }) // a test may have ended it
	return x
}

// secondCards holds that of two plans which both gave somebody's row to a card, only the
// first that begins gives it away.
func secondCards(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	for _, s := range ledger.States() {
		if counts := s == ledger.Issuing || s == ledger.Active || s == ledger.Suspended; s.Counts() != counts {
			t.Errorf("%s counts: %t", s, s.Counts())
		}
	}
	row := ledger.Row{Key: "alice", Person: alice}
	give := func(x *ledger.Lease, family string) error {
		e, err := l.Begin(ctx, ledger.Change{Command: "provision", Serial: x.Serial(), Family: family, Person: &alice, State: ledger.Issuing, Lease: x})
		if err != nil {
			return err
		}
		return e.End(ctx, nil)
	}
	x, y := rowFor(t, l, "one", "A1", row), rowFor(t, l, "two", "A2", row)
	must(t, give(x, "f"))
	before := len(logged(t, l, ledger.EventFilter{}))
	err := give(y, "g")
	refused(t, "a second card", err, problem.Refused)
	if err == nil || !strings.Contains(err.Error(), "card A2: alice@example.com has card A1") {
		t.Errorf("it does not say who has which card: %v", err)
	}
	if c, err := l.Card(ctx, "A2"); c != nil || err != nil || len(logged(t, l, ledger.EventFilter{})) != before {
		t.Errorf("the second card is in the ledger: %+v, %v", c, err)
	}
	must(t, give(x, "f")) // the first goes on

	named := ledger.Row{Key: "alice", Person: alice, Serial: "A3"}
	z := rowFor(t, l, "three", "A3", named)
	refused(t, "a second card of the kind, named", give(z, "f"), problem.Refused)
	must(t, give(z, "g")) // a further application

	must(t, mark(t, l, "A3", ledger.Damaged), mark(t, l, "A1", ledger.Damaged))
	must(t, give(y, "g"))
	if c := card(t, l, "A2"); c.State != ledger.Issuing || c.Person.ID != alice.ID {
		t.Errorf("%+v", c)
	}
	whole(t, l)
}

// secondCardsAtOnce has several stations begin a card for the same person at once.
func secondCardsAtOnce(t *testing.T, p place) {
	const stations = 4
	var rows []*ledger.Lease
	var desks []*ledger.Ledger
	for i := range stations {
		l := p.open(t, ledger.Options{Station: fmt.Sprint("desk", i)})
		desks = append(desks, l)
		rows = append(rows, rowFor(t, l, fmt.Sprint("plan", i), fmt.Sprint("A", i), ledger.Row{Key: "alice", Person: alice}))
	}
	var all sync.WaitGroup
	errs := make([]error, stations)
	for i, x := range rows {
		all.Go(func() {
			_, errs[i] = desks[i].Begin(t.Context(), ledger.Change{Command: "provision", Serial: x.Serial(), Person: &alice, State: ledger.Issuing, Lease: x})
		})
	}
	all.Wait()
	given := 0
	for _, err := range errs {
		if err == nil {
			given++
		} else {
			refused(t, "a second card", err, problem.Refused)
		}
	}
	found, err := desks[0].Cards(t.Context(), ledger.Filter{Person: alice.ID})
	if given != 1 || len(found) != 1 || err != nil {
		t.Errorf("%d cards were given away, %d are in the ledger, %v", given, len(found), err)
	}
}
