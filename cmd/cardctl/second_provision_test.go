package main

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/ledger"
)

// onCommand is a card before each of whose commands something is done.
type onCommand struct {
	iso7816.Connection
	do func()
}

func (c onCommand) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	c.do()
	return c.Connection.Transmit(ctx, apdu)
}

// onCard has something done before each command that goes to one of the cards.
func (d *rowsDesk) onCard(card string, do func()) *rowsDesk {
	other := *d.testDesk
	other.connect = func(ctx context.Context, name string) (iso7816.Connection, error) {
		_, held, err := d.hold(ctx, name)
		if err != nil || name != card {
			return held, err
		}
		return onCommand{held, do}, nil
	}
	return &rowsDesk{&other, d.identity}
}

// leased is how many rows a station holds.
func (d *rowsDesk) leased() (n int) {
	d.t.Helper()
	db, err := sql.Open("sqlite", filepath.Join(d.state, "ledger.db"))
	if err == nil {
		err = db.QueryRow("SELECT count(*) FROM job WHERE holder <> ''").Scan(&n)
		_ = db.Close()
	}
	if err != nil && !strings.Contains(err.Error(), "no such table") {
		d.t.Fatal(err)
	}
	return n
}

// table runs the plan with another table.
func (d *rowsDesk) table(name, more string) result {
	return d.run(context.Background(), d.words("provision $W/plan.yaml --rows $W/"+name+" --yes -o json "+more))
}

// twoTables has two tables, and cards.
func twoTables(t *testing.T, plan, create string, cards ...string) *rowsDesk {
	d := newRowsDesk(t, plan)
	for _, card := range cards {
		d.line("sim create " + card + " " + create)
	}
	d.writeFile("a.csv", []byte("mail,name\nann,Ann\nbob,Bob\n"))
	d.writeFile("b.csv", []byte("mail,name\nann,Ann\nbob,Bob\ncy,Cy\n"))
	return d
}

// holder is who has a card; empty for nobody.
func (d *rowsDesk) holder(card string) string {
	c := d.inLedger(d.serial(card))
	if c == nil || c.State != ledger.Active || c.Person == nil {
		return ""
	}
	return c.Person.ID
}

// race has a card of one table wait, with its row, while another table gives the person of
// that row the card a.
func (d *rowsDesk) race(t *testing.T, table, card string) result {
	t.Helper()
	var once sync.Once
	there := d.onCard(card, func() {
		if d.leased() > 0 {
			once.Do(func() {
				if r := d.table("a.csv", "--readers sim:a"); r.exit != 3 { // Bob has no card
					t.Errorf("%+v", r)
				}
			})
		}
	})
	return there.table(table, "-r sim:"+card)
}

// TestSecondCard has the person of a row get another card meanwhile. Without another row, the
// card that waited is not changed.
func TestSecondCard(t *testing.T) {
	d := twoTables(t, anyPIV, "--applications piv --profile piv-yubikey-5.7", "a", "b", "c", "d")
	d.writeFile("ann.csv", []byte("mail,name\nann,Ann\n"))
	before := d.simState("b")
	r := d.race(t, "ann.csv", "b")
	if r.exit != 9 || !strings.Contains(r.stderr, "ann has card "+d.serial("a")) || !strings.Contains(r.stderr, "cardctl ledger show "+d.serial("a")) {
		t.Errorf("%+v", r)
	}
	if d.simState("b") != before || d.inLedger(d.serial("b")) != nil || d.leased() > 0 {
		t.Error("the second card was changed, or is in the ledger, or its row is held")
	}
	d.table("b.csv", "--readers sim:b,sim:c,sim:d") // it is for the next one who has none
	for card, person := range map[string]string{"a": "ann", "b": "bob", "c": "cy", "d": ""} {
		if has := d.holder(card); has != person {
			t.Errorf("card %s is for %q, want %q", card, has, person)
		}
	}
	if r := d.table("b.csv", "-r sim:d --replaces "+d.serial("a")); r.exit != 0 || d.holder("d") != "ann" || d.holder("a") != "" {
		t.Errorf("replaced: %+v", r)
	}
}

// TestLoserTakesTheNextRow has the card that waited get the next row in the same run.
func TestLoserTakesTheNextRow(t *testing.T) {
	d := twoTables(t, anyPIV, "--applications piv --profile piv-yubikey-5.7", "a", "b")
	r := d.race(t, "b.csv", "b")
	if r.exit != 3 || strings.Count(r.stdout, `"passed":true`) != 2 || !strings.Contains(r.stderr, "no card for row 3") { // Cy has none
		t.Errorf("%+v", r)
	}
	if d.holder("a") != "ann" || d.holder("b") != "bob" || d.leased() > 0 {
		t.Errorf("cards of %q and %q, %d rows are held", d.holder("a"), d.holder("b"), d.leased())
	}
}

// TestTwoTables has two commands with two tables on one ledger at once: nobody has two
// cards afterwards.
func TestTwoTables(t *testing.T) {
	cards := []string{"a", "b", "c", "d"}
	d := twoTables(t, anyOpenPGP, "", cards...)
	var all sync.WaitGroup
	for table, readers := range map[string]string{"a.csv": "sim:a,sim:b", "b.csv": "sim:c,sim:d"} {
		all.Go(func() { d.table(table, "--readers "+readers) })
	}
	all.Wait()
	seen := map[string]bool{}
	for _, card := range cards {
		person := d.holder(card)
		if seen[person] {
			t.Errorf("%s has two cards", person)
		}
		seen[person] = person != ""
	}
	if !seen["ann"] || !seen["bob"] {
		t.Errorf("%v", seen)
	}
}

// TestSecondCardNamed has a row name a card for somebody who has one.
func TestSecondCardNamed(t *testing.T) {
	d := twoTables(t, strings.Replace(anyOpenPGP, "init: always", `init: always, serial: "{{.serial}}"`, 1), "", "a", "b")
	d.writeFile("a.csv", []byte("mail,name,serial\nann,Ann,\n"))
	d.writeFile("b.csv", []byte("mail,name,serial\nann,Ann,"+d.serial("b")+"\n"))
	if r := d.table("a.csv", "-r sim:a"); r.exit != 0 {
		t.Fatalf("%+v", r)
	}
	before := d.simState("b")
	for _, more := range []string{" --dry-run", ""} {
		r := d.table("b.csv", "-r sim:b"+more)
		if r.exit != 9 || !strings.Contains(r.stderr, "ann has card "+d.serial("a")) || d.simState("b") != before {
			t.Errorf("%q: %+v", more, r)
		}
	}
	if r := d.table("b.csv", "-r sim:b --replaces "+d.serial("a")+" --dry-run"); r.exit != 0 {
		t.Errorf("%+v", r)
	}
	if r := d.table("b.csv", "-r sim:b --replaces "+d.serial("a")); r.exit != 0 || d.holder("b") != "ann" {
		t.Errorf("%+v", r)
	}
}
