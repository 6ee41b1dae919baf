package ledger_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cardctl/cardctl/internal/ledger"
)

// keysInTheLog holds when the log has a card with a key, as commands and plans write it down.
func keysInTheLog(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	has := func(what string, want bool, ref string) {
		t.Helper()
		if had, err := l.HadKey(ctx, "a1", ref); had != want || err != nil {
			t.Errorf("%s: %v, %v", what, had, err)
		}
	}
	has("a card that is not in the ledger", false, "K")
	e := begin(t, l, ledger.Change{Serial: "A1", Person: &alice, State: ledger.Issuing, Ref: "K"})
	has("announced only", false, "K")
	must(t, e.Key(ctx, ledger.Key{Ref: "K", Fingerprint: "F1", Algorithm: "p256"}))
	has("generated", true, "K")
	has("another place", false, "L")
	must(t, e.Gone(ctx, "L", "all"), e.Gone(ctx, "K", "certificate"))
	has("its certificate was deleted", true, "K")
	must(t, e.Gone(ctx, "K", "key"))
	has("it was deleted", false, "K")
	must(t, e.Key(ctx, ledger.Key{Ref: "K", SPKI: "AB"}), e.Gone(ctx, "K", "all"))
	has("both were deleted", false, "K")
	must(t, e.Certified(ctx, ledger.Credential{Ref: "L", SPKI: "AB"}))
	has("it has a certificate", true, "L")
	must(t, e.Erased(ctx))
	has("it was erased", false, "L")
	must(t, e.Key(ctx, ledger.Key{Ref: "K"}), e.Note(ctx, "tested", map[string]any{"ref": "M"}), e.End(ctx, nil))
	has("a note about another thing", false, "M")
	begin(t, l, ledger.Change{Serial: "A1"})
	has("worked on again", true, "K")
	begin(t, l, ledger.Change{Serial: "A1", Init: true})
	has("initialised", false, "K")
	whole(t, l)
}

// stepsInTheLog holds which steps were announced for whoever has the card now.
func stepsInTheLog(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	announced := func(what string, want bool) {
		t.Helper()
		if now, err := l.Announced(ctx, "a1", "init"); now != want || err != nil {
			t.Errorf("%s: %v, %v", what, now, err)
		}
	}
	announced("a card that is not in the ledger", false)
	begin(t, l, ledger.Change{Serial: "A1", Person: &alice, State: ledger.Issuing, Steps: []string{"key"}})
	announced("another step", false)
	begin(t, l, ledger.Change{Serial: "A1", Steps: []string{"init", "key"}, Data: map[string]any{"n": 1}})
	announced("one of two", true)
	begin(t, l, ledger.Change{Serial: "A1", Data: map[string]any{"steps": 3}})
	announced("a change without steps", true)
	must(t, mark(t, l, "A1", ledger.Damaged))
	begin(t, l, ledger.Change{Serial: "A1", Person: &bob, State: ledger.Issuing, Init: true, Steps: []string{"key"}})
	announced("for somebody else", false)
}

// failuresInTheLog holds which cards are in the report as those of which something failed.
func failuresInTheLog(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	for i, failed := range []error{errors.New("no"), nil, errors.New("no"), nil} {
		must(t, begin(t, l, ledger.Change{Serial: fmt.Sprintf("A%d", i/2), Command: "renew"}).End(ctx, failed))
	}
	must(t, begin(t, l, ledger.Change{Serial: "A2"}).End(ctx, errors.New("no")))
	e := begin(t, l, ledger.Change{Serial: "A3", Command: "enroll"})
	begin(t, l, ledger.Change{Serial: "A4"})
	begin(t, l, ledger.Change{Serial: "A3"})
	must(t, e.End(ctx, nil)) // of the one before
	list, err := l.Failures(ctx)
	got := map[string]string{}
	for _, f := range list {
		got[f.Serial] = f.Command + ": " + f.What
	}
	if want := map[string]string{"A2": "provision: failed", "A3": "provision: did not end", "A4": "provision: did not end"}; err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("%v, %v", got, err)
	}
}
