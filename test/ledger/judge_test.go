//go:build stack

package ledger_test

import (
	"encoding/json"
	"slices"
	"testing"

	"filippo.io/age"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/secret"
)

// judge holds that every row of a plan is done once, by one card, that no card is two
// persons', that each secret of a card is known to be on it and can be unsealed, and that
// the chain is whole. What is on a card is compared by its caller. Damaged cards, by their
// serials, are nobody's, and what they got is revoked.
func judge(t *testing.T, l *ledger.Ledger, plan string, rows int, identity age.Identity, damaged map[string]bool, has func(c ledger.Card, secrets map[secret.Name]string)) {
	t.Helper()
	ctx := t.Context()
	cardOf, persons := map[string]string{}, map[string]string{}
	must(t, l.Rows(ctx, plan, func(r ledger.RowState) error {
		if r.Progress != ledger.Done || r.Card == "" || r.Station != "" || persons[r.Card] != "" {
			t.Errorf("%+v", r)
		}
		cardOf[r.Person.ID], persons[r.Card] = r.Card, r.Person.ID
		return nil
	}))
	if len(cardOf) != rows {
		t.Errorf("%d rows, want %d", len(cardOf), rows)
	}
	passed := passes(t, l)
	for row, times := range passed {
		if times != 1 {
			t.Errorf("row %d was done %d times", row, times)
		}
	}
	if len(passed) != rows {
		t.Errorf("%d rows were done, want %d", len(passed), rows)
	}
	known, err := l.Cards(ctx, ledger.Filter{})
	must(t, err)
	if len(known) != rows+len(damaged) {
		t.Errorf("%d cards, want %d", len(known), rows+len(damaged))
	}
	for _, c := range known {
		if damaged[c.Serial] {
			if c.State != ledger.Damaged || persons[c.Serial] != "" || slices.ContainsFunc(c.Credentials, func(one ledger.Credential) bool { return one.Revoked == "" }) {
				t.Errorf("%+v", c)
			}
			continue
		}
		if c.State != ledger.Active || c.Person == nil || cardOf[c.Person.ID] != c.Serial {
			t.Errorf("%+v", c)
			continue
		}
		secrets := map[secret.Name]string{}
		for _, sealed := range c.Secrets {
			value, err := ledger.Unseal(ctx, sealed.Blob, identity)
			if err != nil || !sealed.Set || secrets[sealed.Kind] != "" {
				t.Errorf("card %s: %s: %+v, %v", c.Serial, sealed.Kind, sealed, err)
				continue
			}
			secrets[sealed.Kind] = string(value.Reveal())
		}
		has(c, secrets)
	}
	whole(t, l)
}

// passes is how often the log says of each row that it is done.
func passes(t *testing.T, l *ledger.Ledger) map[int64]int {
	t.Helper()
	passed := map[int64]int{}
	must(t, l.Events(t.Context(), ledger.EventFilter{}, func(e ledger.Event) error {
		var data struct {
			What   string
			Row    int64
			Passed bool
		}
		if err := json.Unmarshal(e.Data, &data); err != nil {
			return err
		}
		if data.What == "row" && data.Passed {
			passed[data.Row]++
		}
		return nil
	}))
	return passed
}
