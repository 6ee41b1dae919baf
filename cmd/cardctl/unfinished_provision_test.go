package main

import (
	"testing"

	"github.com/cardctl/cardctl/internal/ledger"
)

// TestUnfinished has a cut come after the last secret was recorded, and before the ledger had
// the card as active: the next run finds nothing to do on the card, and records that.
func TestUnfinished(t *testing.T) {
	d := newRowsDesk(t, anyOpenPGP)
	d.rows("floppy,Floppy Head")
	d.line("sim create a")
	d.provision(0, "-r sim:a")
	d.sql("UPDATE card SET state = 'issuing'; UPDATE job SET state = 'begun'")
	if c := d.inLedger(d.serial("a")); c == nil || c.State != ledger.Issuing {
		t.Fatalf("%+v", c)
	}
	d.provision(9, "-r sim:a --renew --expiring 4000d --identity $W/desk.key") // that would be the end of what an earlier run began
	d.recordsOnce(t, "a")
}

// TestNothingToDo has a card that needs none of the plan's steps: the ledger knows whose it
// is all the same.
func TestNothingToDo(t *testing.T) {
	d := newRowsDesk(t, "card: {application: openpgp, init: never}")
	d.rows("floppy,Floppy Head")
	d.line("sim create a")
	d.recordsOnce(t, "a")
}

// recordsOnce has the ledger learn that a card is active, and nothing again. The card is not
// changed.
func (d *rowsDesk) recordsOnce(t *testing.T, card string) {
	t.Helper()
	before := d.simState(card)
	d.provision(0, "-r sim:"+card)
	if d.holder(card) != "floppy" || d.simState(card) != before {
		t.Error("the card is not active, or was changed")
	}
	records := d.line("ledger verify -o json").stdout
	d.provision(0, "-r sim:"+card)
	if again := d.line("ledger verify -o json").stdout; again != records {
		t.Errorf("a card that is done was recorded again: %s, %s", records, again)
	}
}
