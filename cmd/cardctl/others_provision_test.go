package main

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
)

// withFault is the desk, where something goes wrong with one of the cards.
func (d *rowsDesk) withFault(card string, fault cardsim.Fault) *rowsDesk {
	other := *d.testDesk
	other.connect = func(ctx context.Context, name string) (iso7816.Connection, error) {
		var faults []cardsim.Fault
		if name == card {
			faults = append(faults, fault)
		}
		_, held, err := d.hold(ctx, name, faults...)
		return held, err
	}
	return &rowsDesk{&other, d.identity}
}

// sideBySide has four cards, and as many rows.
func sideBySide(t *testing.T, plan, create string) (d *rowsDesk, cards []string, readers string) {
	d = newRowsDesk(t, plan)
	d.rows("floppy,Floppy Head", "hard,Hard Disk", "tape,Tape Drive", "drum,Drum")
	cards = []string{"a", "b", "c", "d"}
	for _, card := range cards {
		d.line("sim create " + card + " " + create)
	}
	return d, cards, "--readers sim:a,sim:b,sim:c,sim:d"
}

// allBut wants every card to be its person's, except one, which is not finished.
func (d *rowsDesk) allBut(t *testing.T, failed string, cards []string) {
	t.Helper()
	for i, person := range []string{"floppy", "hard", "tape", "drum"} {
		want := "active " + person
		if cards[i] == failed {
			want = "issuing " + person
		}
		if state := d.inState(cards[i]); state != want {
			t.Errorf("card %s: %s, want %s", cards[i], state, want)
		}
		if c := d.inLedger(d.serial(cards[i])); c != nil && cards[i] != failed && len(c.Credentials) != 1 {
			t.Errorf("card %s has %d certificates", cards[i], len(c.Credentials))
		}
	}
}

// TestOneCardFails has one of four cards fail that are worked on side by side: it is pulled
// out, loses its power, or refuses a command. The others are finished, and the same command
// goes on with it.
func TestOneCardFails(t *testing.T) {
	const none = 1 << 30
	for name, kind := range cardKinds {
		for what, failing := range map[string]struct {
			card  string
			fault func(commands int) cardsim.Fault
		}{
			"pulled out":    {"a", func(commands int) cardsim.Fault { return cardsim.RemoveBefore(commands * 3 / 4) }},
			"without power": {"c", func(int) cardsim.Fault { return cardsim.PowerLossAfterWrite(2) }},
			"refuses":       {"d", func(int) cardsim.Fault { return cardsim.Refuse(0x47, 1, 0x6F00) }}, // to generate a key
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				d, cards, readers := sideBySide(t, kind.plan, kind.create)
				restore := d.keep()
				honest := d.run(context.Background(), d.words("provision $W/plan.yaml --rows $W/rows.csv --yes -r sim:b"), cardsim.RemoveBefore(none))
				restore()
				r := d.withFault(failing.card, failing.fault(honest.traffic.APDUs)).table("rows.csv", readers)
				at := slices.Index(cards, failing.card) + 1
				if r.exit == 0 || strings.Count(r.stdout, `"passed":true`) != len(cards)-1 || len(stepsOf(t, r, at)) == 0 {
					t.Fatalf("%+v", r)
				}
				d.allBut(t, failing.card, cards)
				r = d.table("rows.csv", readers)
				if r.exit == 9 && strings.Contains(r.stderr, "--identity") {
					r = d.table("rows.csv", readers+" --identity $W/desk.key")
				}
				if r.exit != 0 {
					t.Fatalf("the same command: %+v", r)
				}
				d.allBut(t, "", cards)
				if issued := strings.Count(d.line("ca list $W/ca -o json").stdout, `"serialNumber"`); issued != len(cards) {
					t.Errorf("%d certificates were issued", issued)
				}
			})
		}
	}
}

// TestUnreadableCard has the first of four cards not answer at all: the others get the
// rows, and it gets the one that is left with the same command.
func TestUnreadableCard(t *testing.T) {
	d, cards, readers := sideBySide(t, anyOpenPGP, "")
	r := d.withFault("a", cardsim.RemoveBefore(1)).table("rows.csv", readers)
	if r.exit == 0 || !strings.Contains(r.stdout, `"leftOut":[{"reader":"sim:a"`) {
		t.Errorf("%+v", r)
	}
	if r := d.table("rows.csv", readers); r.exit != 0 {
		t.Errorf("the same command: %+v", r)
	}
	for i, person := range []string{"drum", "floppy", "hard", "tape"} {
		if state := d.inState(cards[i]); state != "active "+person {
			t.Errorf("card %s: %s, want %s's", cards[i], state, person)
		}
	}
}
