//go:build stack

package ledger_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/test/stack"
)

// TestClocks has stations whose clocks are hours off: all times are those of the server.
func TestClocks(t *testing.T) {
	server := stack.NewPostgreSQL(t, "fsync=off")
	server.Query("postgres", "CREATE ROLE station LOGIN")
	p, _ := served(t, server, "ledger")
	const off, lease = 7 * time.Hour, 900 * time.Millisecond
	clock := func(by time.Duration) func() time.Time { return func() time.Time { return time.Now().Add(by) } }
	slow := p.open(t, ledger.Options{Station: "slow", Now: clock(-off), Lease: lease, Patience: lease})
	fast := p.open(t, ledger.Options{Station: "fast", Now: clock(off), Lease: lease, Patience: lease})
	ctx := t.Context()
	near := func(what string, at time.Time) {
		t.Helper()
		if by := time.Since(at).Abs(); by > time.Minute {
			t.Errorf("%s: %s is %s off", what, at, by)
		}
	}
	for _, l := range []*ledger.Ledger{slow, fast} {
		now, err := l.Time(ctx)
		must(t, err)
		near("the time of the ledger", now)
	}

	// A row is held as long as its station gives signs of life, and a lease longer.
	offer(t, slow, "a", "b")
	x := claim(t, slow, "A1")
	y := claim(t, fast, "B1")
	if rowOf(x) != "a" || rowOf(y) != "b" {
		t.Fatalf("%s, %s", rowOf(x), rowOf(y))
	}
	time.Sleep(2 * lease)
	for _, l := range []*ledger.Ledger{slow, fast} {
		if got := rowOf(claim(t, l, "C1")); got != "" {
			t.Errorf("the row %s was given to two", got)
		}
	}
	if x.Expired() || y.Expired() || !x.Covers(10*lease) || !y.Covers(10*lease) {
		t.Error("a lease ran out")
	}

	// What is recorded has the times of the server.
	give := func(l *ledger.Ledger, x *ledger.Lease) *ledger.Entry {
		return begin(t, l, ledger.Change{Serial: x.Serial(), Person: &x.Row.Person, State: ledger.Issuing, Lease: x})
	}
	e, f := give(slow, x), give(fast, y)
	soon := ledger.Credential{Ref: "K", SerialNumber: "01", NotAfter: time.Now().Add(time.Hour)}
	must(t, e.Certified(ctx, soon), f.Certified(ctx, soon), e.State(ctx, ledger.Active), f.State(ctx, ledger.Active), e.End(ctx, nil), f.End(ctx, nil))
	must(t, x.Done(ctx, true, ""), y.Done(ctx, true, ""))
	var last time.Time
	must(t, slow.Events(ctx, ledger.EventFilter{}, func(e ledger.Event) error {
		near(string(e.Data), e.At)
		if e.At.Before(last) {
			t.Errorf("record %d is before the one before", e.Number)
		}
		last = e.At
		return json.Unmarshal(e.Data, &struct{}{})
	}))
	for _, serial := range []string{"A1", "B1"} {
		near("the state of "+serial, card(t, fast, serial).Since)
	}

	// What expires does so for all stations alike.
	for name, l := range map[string]*ledger.Ledger{"slow": slow, "fast": fast} {
		now, err := l.Time(ctx)
		must(t, err)
		for within, want := range map[time.Duration]int{30 * time.Minute: 0, 2 * time.Hour: 2} {
			if found, err := l.Cards(ctx, ledger.Filter{Expiring: now.Add(within)}); err != nil || len(found) != want {
				t.Errorf("%s: %d cards expire within %s, %v", name, len(found), within, err)
			}
		}
	}

	// The row of a station that died is free after the lease, and not before.
	offer(t, fast, "c")
	claim(t, fast, "B2")
	must(t, fast.Close())
	if got := rowOf(claim(t, slow, "A2")); got != "" {
		t.Errorf("the row %s was given to two", got)
	}
	time.Sleep(2 * lease)
	if got := rowOf(claim(t, slow, "A2")); got != "c" {
		t.Errorf("the row of a station that died: %q", got)
	}
	whole(t, slow)
}
