package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/ledger"
)

// inState is what the ledger says of a card, and whose it is.
func (d *rowsDesk) inState(card string) string {
	c := d.inLedger(d.serial(card))
	if c == nil {
		return ""
	}
	person := ""
	if c.Person != nil {
		person = c.Person.ID
	}
	return string(c.State) + " " + person
}

// replacement is a desk where somebody has the card old.
func replacement(t *testing.T, plan, create string) (d *rowsDesk, replaces string) {
	d = newRowsDesk(t, plan)
	d.rows("floppy,Floppy Head", "hard,Hard Disk")
	for _, card := range []string{"old", "new", "third"} {
		d.line("sim create " + card + " " + create)
	}
	d.provision(3, "--readers sim:old") // Hard Disk has no card
	return d, "--replaces " + d.serial("old")
}

// keep copies the cards, the ledger and the CA.
func (d *rowsDesk) keep() (restore func()) {
	d.t.Helper()
	kept := d.t.TempDir()
	if err := os.CopyFS(kept, os.DirFS(d.state)); err != nil {
		d.t.Fatal(err)
	}
	return func() {
		for _, name := range []string{"ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger-spool", "enrolment", "sim", "ca"} {
			path, was := filepath.Join(d.state, name), filepath.Join(kept, name)
			if err := os.RemoveAll(path); err != nil {
				d.t.Fatal(err)
			}
			info, err := os.Stat(was)
			switch {
			case err != nil: // it was not there
				continue
			case info.IsDir():
				err = os.CopyFS(path, os.DirFS(was))
			default:
				var content []byte
				content, err = os.ReadFile(was)
				d.writeFile(name, content)
			}
			if err != nil {
				d.t.Fatal(err)
			}
		}
	}
}

// TestReplacedInOtherLetters takes a serial as the ledger does, whatever its capitals: a dry run
// finds the row, and a second run does not offer it once more.
func TestReplacedInOtherLetters(t *testing.T) {
	t.Parallel()
	d, replaces := replacement(t, anyOpenPGP, "")
	lower := "--replaces " + strings.ToLower(d.serial("old"))
	if r := d.provision(0, lower+" --reader sim:new --dry-run"); !strings.Contains(r.stdout, `"result":"would"`) {
		t.Error(r.stdout)
	}
	d.provision(0, lower+" --reader sim:new")
	if r := d.provision(0, replaces+" --reader sim:new"); strings.Contains(r.stdout, `"result":"done"`) {
		t.Error(r.stdout)
	}
	d.provision(9, replaces+" --reader sim:third")
	if n := strings.Count(d.must("ledger", "export").stdout, `"what":"offered"`); n != 2 {
		t.Errorf("rows were offered %d times", n)
	}
}

// TestReplaced gives somebody another card, whatever the first one was marked as before.
func TestReplaced(t *testing.T) {
	for _, marked := range []ledger.State{"", ledger.Suspended, ledger.Lost, ledger.Damaged, ledger.Returned, ledger.Revoked} {
		t.Run("marked "+string(marked), func(t *testing.T) {
			t.Parallel()
			d, replaces := replacement(t, anyOpenPGP, "")
			was := ledger.Revoked
			if marked != "" {
				d.line("ledger mark " + d.serial("old") + " " + string(marked))
				if marked != ledger.Suspended {
					was = marked
				}
			}
			if r := d.provision(0, "-r sim:new --dry-run "+replaces); !strings.Contains(r.stdout, `"person":"floppy"`) {
				t.Errorf("%s", r.stdout)
			}
			d.provision(0, "-r sim:new "+replaces)
			for card, want := range map[string]string{"old": string(was) + " floppy", "new": "active floppy"} {
				if state := d.inState(card); state != want {
					t.Errorf("card %s: %s, want %s", card, state, want)
				}
			}
			// Again nothing is left to do, and there is no third card.
			before := d.simState("new")
			d.provision(0, "-r sim:new "+replaces)
			d.provision(9, "-r sim:third "+replaces)
			for step, result := range stepsOf(t, d.provision(3, "-r sim:new"), 1) { // Hard Disk has no card
				if result != "already" {
					t.Errorf("the plan without --replaces: %s: %s", step, result)
				}
			}
			if d.simState("new") != before || d.inState("third") != "" {
				t.Errorf("done again: %s", d.inState("third"))
			}
			if was == ledger.Lost || was == ledger.Revoked { // others are given out again
				before = d.simState("old")
				if r := d.provision(9, "-r sim:old "+replaces); d.simState("old") != before || !strings.Contains(r.stderr, "the card is "+string(was)) {
					t.Errorf("the former card was changed: %s", r.stderr)
				}
			}
		})
	}
}

// TestReplacedAgain pulls out the card that replaces another one, before each command: the
// same command goes on with it, and no other card gets its place until it is damaged.
func TestReplacedAgain(t *testing.T) {
	for name, kind := range cardKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, replaces := replacement(t, kind.plan, kind.create)
			d.line("ledger mark " + d.serial("old") + " lost")
			restore := d.keep()
			command := d.words("provision $W/plan.yaml --rows $W/rows.csv --yes -o json -r sim:new " + replaces)
			honest := d.run(context.Background(), command, cardsim.RemoveBefore(1<<30))
			if honest.exit != 0 {
				t.Fatalf("%+v", honest)
			}
			pulled := 0
			for n := honest.traffic.APDUs; n > 0; n -= 5 {
				restore()
				r := d.run(context.Background(), command, cardsim.RemoveBefore(n))
				if r.exit == 0 {
					continue
				}
				pulled++
				if state := d.inState("old"); state != "lost floppy" {
					t.Errorf("the card before is %s", state)
				}
				begun := d.inState("new") == "issuing floppy"
				if begun { // no other card has its row
					d.provision(9, "-r sim:third "+replaces)
				}
				again := d.run(context.Background(), command)
				if again.exit == 9 && strings.Contains(again.stderr, "--identity") {
					again = d.run(context.Background(), append(command, "--identity", d.state+"/desk.key"))
				}
				if again.exit != 0 || d.inState("new") != "active floppy" || d.inState("third") != "" {
					t.Errorf("pulled before command %d: %s, %+v", n, d.inState("new"), again)
				}
			}
			if pulled == 0 {
				t.Error("nothing was pulled out")
			}
			// One that cannot go on is marked as damaged: then another card has its place.
			restore()
			r := d.run(context.Background(), command, cardsim.RemoveBefore(honest.traffic.APDUs-2))
			if state := d.inState("new"); state != "issuing floppy" {
				t.Fatalf("%s: %+v", state, r)
			}
			d.line("ledger mark " + d.serial("new") + " damaged")
			d.provision(0, "-r sim:third "+replaces)
			if state := d.inState("third"); state != "active floppy" {
				t.Error(state)
			}
		})
	}
}
