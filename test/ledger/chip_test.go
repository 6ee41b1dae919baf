package ledger_test

import (
	"testing"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/secret"
)

// chips holds that a card is found by its chip, before and after it has a serial of its
// own, and that each of two cards keeps its chip.
func chips(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	on := func(chip, serial string) {
		t.Helper()
		c, err := l.OnChip(ctx, chip)
		if err != nil || (c == nil) != (serial == "") || c != nil && c.Serial != serial {
			t.Errorf("%s: %+v, %v, want %s", chip, c, err, serial)
		}
	}
	on("C1", "")
	e := begin(t, l, ledger.Change{Serial: "c1", Person: &alice, State: ledger.Issuing})
	on("C1", "C1")
	must(t, e.OnChip(ctx, "a1", "c1"))
	on("C1", "C1") // it was cut off here
	must(t, e.Named(ctx, "a1"), e.End(ctx, nil))
	on("c1", "A1")
	begin(t, l, ledger.Change{Serial: "C2"})
	on("C2", "C2")
	for serial, chip := range map[string]string{"a1": "C1", "C2": "", "A9": ""} {
		if now, err := l.ChipOf(ctx, serial); err != nil || now != chip {
			t.Errorf("%s: %s, %v", serial, now, err)
		}
	}
	e = begin(t, l, ledger.Change{Serial: "A1"})
	must(t, e.OnChip(ctx, "B1", "C1"), e.Named(ctx, "B1"))
	on("C1", "B1")
	if cards := len(logged(t, l, ledger.EventFilter{Serial: "C1"})); cards != 3 {
		t.Errorf("%d records", cards)
	}
	if _, err := l.Verify(ctx, nil); err != nil {
		t.Error(err)
	}
}

// cardKeysStay holds that an erased card has the card keys that it had.
func cardKeysStay(t *testing.T, p place) {
	l, ctx := p.open(t, ledger.Options{}), t.Context()
	_, to := owner(t)
	e := begin(t, l, ledger.Change{Serial: "A1", Person: &alice, State: ledger.Issuing})
	keys, err := e.Seal(ctx, secret.CardKeys, ledger.KeepLedger, pin("11111111"), []string{to})
	must(t, err, e.Has(ctx, keys, seal(t, e, "22222222", to)), e.State(ctx, ledger.Active), e.State(ctx, ledger.Returned))
	begin(t, l, ledger.Change{Serial: "A1", Init: true})
	if s := card(t, l, "A1").Secrets; len(s) != 1 || s[0].ID != keys || !s[0].Set || s[0].Ended {
		t.Errorf("%+v", s)
	}
}
