package ledger_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
)

// rowOf is whose row a lease is.
func rowOf(x *ledger.Lease) string {
	if x == nil {
		return ""
	}
	return x.Row.Key
}

// rowsAre are the rows of the plan: key, how far, card, what failed.
func rowsAre(t *testing.T, l *ledger.Ledger) string {
	t.Helper()
	var all []string
	must(t, l.Rows(t.Context(), "plan", func(r ledger.RowState) error {
		all = append(all, strings.TrimRight(fmt.Sprintf("%s %s %s %s", r.Key, r.Progress, r.Card, r.Why), " "))
		return nil
	}))
	return strings.Join(all, ", ")
}

func offers(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	offer(t, l, "a", "b")
	offer(t, l, "a", "b")
	offer(t, l, "b", "c")
	if got := rowsAre(t, l); got != "a free, b free, c free" {
		t.Error(got)
	}
	must(t, l.Offer(ctx, "another plan", []ledger.Row{{Key: "a"}}))
	if got := rowsAre(t, l); got != "a free, b free, c free" {
		t.Error(got)
	}
	if got := logged(t, l, ledger.EventFilter{}); len(got) != 3 {
		t.Errorf("%q", got)
	}
}

// claims holds the order in which a card gets its row.
func claims(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	must(t, l.Offer(ctx, "plan", []ledger.Row{
		{Key: "named", Person: ledger.Person{ID: "n"}, Serial: "c9"}, {Key: "a", Person: ledger.Person{ID: "a"}},
		{Key: "alice", Person: alice}, {Key: "b", Person: ledger.Person{ID: "b"}},
	}))
	issue(t, l, "A1", alice)
	issue(t, l, "B1", bob)
	if got := rowOf(claim(t, l, "c1")); got != "a" {
		t.Errorf("the next free row: %s", got)
	}
	if got := rowOf(claim(t, l, "C1")); got != "a" {
		t.Errorf("the same card: %s", got)
	}
	if got := rowOf(claim(t, l, "C9")); got != "named" {
		t.Errorf("the card that is named: %s", got)
	}
	if got := rowOf(claim(t, l, "C2")); got != "b" {
		t.Errorf("nobody gets a second card: %s", got)
	}
	if got := rowOf(claim(t, l, "C3")); got != "" {
		t.Errorf("none is left: %s", got)
	}
	if got := rowOf(claim(t, l, "A1")); got != "alice" {
		t.Errorf("the card of the person of a row: %s", got)
	}
	_, err := l.Claim(ctx, "plan", "B1")
	refused(t, "the card of somebody without a row", err, problem.Refused)
	must(t, l.Offer(ctx, "other", []ledger.Row{{Key: "x", Person: ledger.Person{ID: "x"}, Serial: "A1"}}))
	_, err = l.Claim(ctx, "other", "A1")
	refused(t, "a row that names the card of somebody else", err, problem.Refused)
}

// rowsOfCards holds that a row whose card was changed stays with that card.
func rowsOfCards(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	offer(t, l, "a", "b")
	x := claim(t, l, "C1")
	must(t, x.Done(ctx, false, "the reader is broken"))
	if got := rowsAre(t, l); got != "a free  the reader is broken, b free" {
		t.Error(got)
	}
	x = claim(t, l, "C2")
	e := begin(t, l, ledger.Change{Serial: "C2", Person: &x.Row.Person, State: ledger.Issuing, Lease: x})
	must(t, e.End(ctx, problem.New(problem.Failed, "no")), x.Done(ctx, false, "no"))
	if got := rowsAre(t, l); got != "a begun C2 no, b free" {
		t.Error(got)
	}
	y := claim(t, l, "C3")
	if rowOf(y) != "b" {
		t.Errorf("a begun row was given to another card: %s", rowOf(y))
	}
	must(t, y.Free(ctx))
	x = claim(t, l, "C2")
	if rowOf(x) != "a" || x.Progress != ledger.Begun {
		t.Errorf("%+v", x)
	}
	must(t, x.Free(ctx), mark(t, l, "C2", ledger.Damaged))
	x = claim(t, l, "C3")
	if rowOf(x) != "a" || x.Progress != ledger.Free {
		t.Errorf("the row of a damaged card: %s", rowOf(x))
	}
	e = begin(t, l, ledger.Change{Serial: "C3", Person: &x.Row.Person, State: ledger.Issuing, Lease: x})
	must(t, e.State(ctx, ledger.Active), e.End(ctx, nil), x.Done(ctx, true, ""))
	if got := rowsAre(t, l); got != "a done C3, b free" {
		t.Error(got)
	}
	x = claim(t, l, "C3")
	if rowOf(x) != "a" || x.Progress != ledger.Done {
		t.Errorf("%+v", x)
	}
	must(t, x.Free(ctx))
	if got := rowsAre(t, l); got != "a done C3, b free" {
		t.Error(got)
	}
	// Another card of the same person has the row once the first one is over.
	issue(t, l, "C4", x.Row.Person)
	_, err := l.Claim(ctx, "plan", "C4")
	refused(t, "a second card of somebody whose row is done", err, problem.Refused)
	must(t, mark(t, l, "C3", ledger.Lost))
	if got := rowsAre(t, l); got != "a done C3, b free" {
		t.Error(got)
	}
	x = claim(t, l, "C4")
	if rowOf(x) != "a" || x.Progress != ledger.Done {
		t.Errorf("the card that replaced another: %+v", x)
	}
	must(t, x.Free(ctx))
	if got := rowsAre(t, l); got != "a done C4, b free" {
		t.Error(got)
	}
}

// leases holds that a row that runs out goes to the next card, and that nobody writes with
// the lease from before.
func leases(t *testing.T, p place) {
	ctx := t.Context()
	lost := p.open(t, ledger.Options{Station: "one", Lease: 400 * time.Millisecond, Patience: time.Millisecond})
	other := p.open(t, ledger.Options{Station: "two"})
	offer(t, lost, "a")
	x := claim(t, lost, "C1")
	if x.Expired() || !x.Lasts(10*time.Millisecond) || x.Lasts(time.Second) {
		t.Error("a lease of 0.4 s does not last 0.4 s")
	}
	must(t, lost.Close()) // no sign of life from now on
	if got := rowOf(claim(t, other, "C2")); got != "" {
		t.Errorf("a row was given to two: %s", got)
	}
	time.Sleep(600 * time.Millisecond)
	if !x.Expired() || x.Lasts(0) {
		t.Error("a lease without a sign of life goes on")
	}
	again := p.open(t, ledger.Options{Station: "one"})
	_, err := again.Begin(ctx, ledger.Change{Serial: "C1", State: ledger.Issuing, Lease: x})
	refused(t, "a change after the lease", err, problem.Refused)
	y := claim(t, other, "C2")
	if rowOf(y) != "a" || y.Number != x.Number+1 {
		t.Fatalf("%+v", y)
	}
	_, err = again.Begin(ctx, ledger.Change{Serial: "C1", State: ledger.Issuing, Lease: x})
	refused(t, "a change with an older number", err, problem.Refused)
	if c, err := other.Card(ctx, "C1"); c != nil || err != nil {
		t.Errorf("%v, %v", c, err)
	}
	begin(t, other, ledger.Change{Serial: "C2", State: ledger.Issuing, Lease: y})
	must(t, y.Done(ctx, true, ""))
}

// takenOver holds that a card that turns up at another station goes on there, and that the
// former one can write no more.
func takenOver(t *testing.T, p place) {
	ctx := t.Context()
	one := p.open(t, ledger.Options{Station: "one"})
	two := p.open(t, ledger.Options{Station: "two"})
	offer(t, one, "a")
	_, to := owner(t)
	x := claim(t, one, "C1")
	e := begin(t, one, ledger.Change{Serial: "C1", Person: &x.Row.Person, State: ledger.Issuing, Lease: x})
	id := seal(t, e, "11111111", to)
	y := claim(t, two, "C1")
	if rowOf(y) != "a" || y.Progress != ledger.Begun {
		t.Fatalf("%+v", y)
	}
	_, err := e.Seal(ctx, "puk", ledger.KeepLedger, pin("22222222"), []string{to})
	refused(t, "sealing", err, problem.Refused)
	refused(t, "a secret that is set", e.Has(ctx, id), problem.Refused)
	refused(t, "a certificate", e.Certified(ctx, ledger.Credential{Ref: "K"}), problem.Refused)
	refused(t, "a state", e.State(ctx, ledger.Active), problem.Refused)
	refused(t, "the end", e.End(ctx, nil), problem.Refused)
	refused(t, "done", x.Done(ctx, true, ""), problem.Refused)
	if got := rowsAre(t, two); got != "a begun C1" {
		t.Error(got)
	}
	f := begin(t, two, ledger.Change{Serial: "C1", Person: &y.Row.Person, State: ledger.Issuing, Lease: y})
	must(t, f.Has(ctx, id), f.State(ctx, ledger.Active), f.End(ctx, nil), y.Done(ctx, true, ""))
	whole(t, two)
}

// heartbeat holds that a lease is prolonged by itself, and that one that was taken over is
// known to be.
func heartbeat(t *testing.T, p place) {
	one := p.open(t, ledger.Options{Lease: 300 * time.Millisecond})
	two := p.open(t, ledger.Options{})
	offer(t, one, "a")
	x := claim(t, one, "C1")
	for range 8 {
		time.Sleep(100 * time.Millisecond)
		if got := rowOf(claim(t, two, "C2")); got != "" {
			t.Fatalf("a row was given to two: %s", got)
		}
	}
	if x.Expired() {
		t.Error("the lease ran out")
	}
	must(t, x.Free(t.Context()))
	// One that is taken over is over with the next sign of life, before its time.
	one = p.open(t, ledger.Options{Lease: 3 * time.Second})
	x = claim(t, one, "C1")
	claim(t, two, "C1")
	for began := time.Now(); !x.Expired(); {
		if time.Since(began) > 1900*time.Millisecond {
			t.Fatal("a lease that was taken over goes on")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// longSteps holds that a step which takes longer than a lease begins only if the ledger
// holds the row until its end, and that signs of life in between do not shorten that.
func longSteps(t *testing.T, p place) {
	const lease, step = 300 * time.Millisecond, 1500 * time.Millisecond
	one := p.open(t, ledger.Options{Lease: lease, Patience: lease})
	two := p.open(t, ledger.Options{})
	offer(t, one, "a")
	x := claim(t, one, "C1")
	if x.Lasts(step) || !x.Covers(step) || !x.Lasts(step) {
		t.Fatal("the lease was not prolonged for a long step")
	}
	ends := time.Now().Add(step)
	time.Sleep(2 * lease)
	must(t, one.Close()) // no sign of life from now on
	if x.Covers(2 * step) {
		t.Error("a step begins that the ledger knows nothing of")
	}
	time.Sleep(time.Until(ends) - lease)
	if got := rowOf(claim(t, two, "C2")); got != "" {
		t.Errorf("a row was given to two during a step: %s", got)
	}
	time.Sleep(2*lease + step/5)
	if got := rowOf(claim(t, two, "C2")); got != "a" {
		t.Errorf("the row of a station that died is still held: %q", got)
	}
	if x.Covers(0) {
		t.Error("a step begins after the lease")
	}
}
