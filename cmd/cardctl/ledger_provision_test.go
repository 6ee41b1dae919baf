package main

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"testing"

	_ "modernc.org/sqlite"
)

// TestProvisionWithoutItsLedger has the ledger refuse to be written: from the beginning,
// when nothing is changed, and on the way, when what was done is spooled.
func TestProvisionWithoutItsLedger(t *testing.T) {
	for name, test := range map[string]struct {
		trigger string
		exit    int
		changed bool
	}{
		"before":  {"CREATE TRIGGER t BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END", 1, false},
		"sealing": {"CREATE TRIGGER t BEFORE INSERT ON secret WHEN new.blob <> '' BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END", 1, true},
		"after":   {"CREATE TRIGGER t BEFORE INSERT ON credential BEGIN SELECT RAISE(ABORT, 'database or disk is full'); END", 1, true},
		"newer":   {"UPDATE goose_db_version SET version_id = 999", 0, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newRowsDesk(t, anyOpenPGP)
			d.rows("floppy,Floppy Head")
			d.line("sim create a")
			d.must("ledger", "migrate", "--yes")
			before := d.simState("a")
			d.sql(test.trigger)
			r := d.run(context.Background(), d.words("provision $W/plan.yaml --rows $W/rows.csv --yes -o json -r sim:a"))
			if r.exit == 0 || test.exit != 0 && r.exit != test.exit || (d.simState("a") != before) != test.changed {
				t.Fatalf("%+v", r)
			}
			spooled, _ := filepath.Glob(filepath.Join(d.state, "ledger-spool", "*"))
			t.Log(len(spooled), r.stderr)
			if name == "after" && (len(spooled) == 0 || !strings.Contains(r.stderr, "ledger-spool")) {
				t.Errorf("nothing is spooled: %s", r.stderr)
			}
			if name == "newer" {
				return
			}
			d.sql("DROP TRIGGER t")
			again := d.provision(0, "-r sim:a")
			d.must("ledger", "verify")
			if c := d.inLedger(d.serial("a")); len(c.Credentials) != 1 || c.State != "active" {
				t.Errorf("%+v\n%s", c, again.stdout)
			}
			if issued := strings.Count(d.line("ca list $W/ca -o json").stdout, `"serialNumber"`); issued != 1 {
				t.Errorf("%d certificates were issued", issued)
			}
		})
	}
}

// sql changes the ledger.
func (d *rowsDesk) sql(statement string) {
	d.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(d.state, "ledger.db"))
	if err == nil {
		_, err = db.Exec(statement)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	_ = db.Close()
}
