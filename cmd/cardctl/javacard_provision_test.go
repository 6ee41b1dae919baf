package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/secret"
)

const anyJava = `
card: {application: openpgp, init: always}
applet: {file: "$W/OpenPGP.cap", cardKeys: default, newCardKeys: {generate: card-keys, keep: ledger}}
pins: {user: {generate: 8 digits, keep: letter}, admin: {generate: 10 digits, keep: ledger}}
keys: [{ref: OPENPGP.3, algorithm: p256, certificate: {subject: "CN={{.name}}", issuer: desk}}]`

// openPGPApplet writes a file with an applet that is simulated as an OpenPGP card.
func (d *rowsDesk) openPGPApplet() {
	d.t.Helper()
	data, err := capFile{pkg: "D27600012401", applets: []string{"D276000124010304AFAF000000000000"}, code: 400}.bytes()
	if err != nil {
		d.t.Fatal(err)
	}
	d.writeFile("OpenPGP.cap", data)
}

// newJavaRows has a plan for Java cards.
func newJavaRows(t *testing.T, plan string) *rowsDesk {
	t.Helper()
	d := newRowsDesk(t, plan)
	d.openPGPApplet()
	return d
}

// cards are those that the ledger has, by their serials.
func (d *rowsDesk) cards() map[string]string {
	d.t.Helper()
	var list struct {
		Cards []struct{ Serial, State, Person string }
	}
	if err := json.Unmarshal([]byte(d.must("ledger", "list", "-o", "json").stdout), &list); err != nil {
		d.t.Fatal(err)
	}
	cards := map[string]string{}
	for _, c := range list.Cards {
		cards[c.Serial] = c.State + " " + c.Person
	}
	return cards
}

// TestJavaCards has a plan without AIDs for several cards, in two readers and in sequence:
// each gets a serial of its own, and is one card of the ledger.
func TestJavaCards(t *testing.T) {
	for name, runs := range map[string][]string{
		"side by side": {"--readers sim:a,sim:b"},
		"in sequence":  {"-r sim:a", "-r sim:b"},
		"two tables":   {"-r sim:a", "-r sim:b"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newJavaRows(t, anyJava)
			d.rows("floppy,Floppy Head", "hard,Hard Disk")
			d.line("sim create a --applications gp --serial 0000000A")
			d.line("sim create b --applications gp --serial 0000000B")
			for i, run := range runs {
				exit := 0
				if name == "in sequence" && i == 0 {
					exit = 3 // a row has no card yet
				}
				if name == "two tables" {
					d.rows([]string{"floppy,Floppy Head", "hard,Hard Disk"}[i])
				}
				d.provision(exit, run)
			}
			cards := d.cards()
			a, b := d.serial("a"), d.serial("b")
			if len(cards) != 2 || cards[a] != "active floppy" || cards[b] != "active hard" {
				t.Errorf("%s, %s: %v", a, b, cards)
			}
			if d.secretOf("a", secret.AdminPIN) == d.secretOf("b", secret.AdminPIN) {
				t.Error("both have one admin PIN")
			}
			d.rows("floppy,Floppy Head", "hard,Hard Disk")
			r := d.provision(0, "--readers sim:b,sim:a --trace $W/trace")
			for row := range 2 {
				for step, result := range stepsOf(t, r, row+1) {
					if result != "already" {
						t.Errorf("row %d: %s: %s", row+1, step, result)
					}
				}
			}
			if len(d.cards()) != 2 {
				t.Errorf("%v", d.cards())
			}
			for _, card := range []string{"a", "b"} {
				d.vars = append(d.vars, "CARD_KEYS="+d.secretOf(card, secret.CardKeys))
				d.line("applet list -r sim:" + card + " --card-keys env:CARD_KEYS")
			}
		})
	}
}

// TestJavaCardsWithOneAID are refused before the first of them is touched.
func TestJavaCardsWithOneAID(t *testing.T) {
	for name, test := range map[string]struct {
		instance string
		exit     int
		says     string
	}{
		"the same": {"D276000124010304AFAF000000010000", 2, "row 2, line 3: the applet would have the serial of that of row 1, line 2"},
		"columns":  {"D276000124010304AFAF0000{{.number}}0000", 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newJavaRows(t, strings.Replace(anyJava, "cardKeys:", `instance: ["`+test.instance+`"], cardKeys:`, 1))
			d.writeFile("rows.csv", []byte("mail,name,number\nfloppy,Floppy Head,0011\nhard,Hard Disk,0012\n"))
			d.line("sim create a --applications gp --serial 0000000A")
			d.line("sim create b --applications gp --serial 0000000B")
			before := d.simState("a")
			if r := d.provision(test.exit, "--readers sim:a,sim:b"); !strings.Contains(r.stderr, test.says) {
				t.Errorf("%s", r.stderr)
			}
			if test.exit != 0 && d.simState("a") != before {
				t.Error("a card was changed")
			}
			if test.exit == 0 && (d.serial("a") != "AFAF00000011" || d.serial("b") != "AFAF00000012") {
				t.Errorf("%v", d.cards())
			}
		})
	}
}

// TestJavaCardWithTheSerialOfAnother is a card that says it is somebody's, and is not: it is
// refused, unchanged, and gets none of their secrets, also with an identity.
func TestJavaCardWithTheSerialOfAnother(t *testing.T) {
	const instance = "D276000124010304AFAF000000010000"
	named := strings.Replace(anyJava, "cardKeys:", `instance: ["`+instance+`"], cardKeys:`, 1)
	for name, test := range map[string]struct {
		plan, create string
		before       []string
		says         string
	}{
		"its applet is there": {named, "--applications gp --serial 0000000B",
			[]string{"applet install $W/OpenPGP.cap -r sim:b --instance " + instance + " --card-keys default"}, "reports the serial of another card"},
		"its applet would be": {named, "--applications gp --serial 0000000B", nil, "would have the serial AFAF00000001"},
		"it tells no chip":    {strings.Replace(named, "AFAF", "FFFE", 1), "--serial 00000001", nil, "this card reports none"},
		"no Java card":        {anyOpenPGP, "--serial 00000001", nil, "lacks the key"},
		"no Java card, without a certificate": {strings.Replace(anyOpenPGP, `, certificate: {subject: "CN={{.name}}", issuer: desk}`, "", 1),
			"--serial 00000001", nil, "lacks the key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newJavaRows(t, test.plan)
			d.rows("floppy,Floppy Head")
			d.line("sim create a " + map[bool]string{false: "--serial 00000001", true: "--applications gp --serial 0000000A"}[strings.Contains(test.plan, "applet:")])
			d.provision(0, "-r sim:a")
			if name == "its applet would be" {
				d.rows("hard,Hard Disk")
			}
			d.line("sim create b " + test.create)
			other := *d.testDesk
			for _, line := range test.before {
				other.must(other.words(line)...)
			}
			before, cards := d.simState("b"), d.cards()
			for _, identity := range []string{"", " --identity $W/desk.key"} {
				if r := d.provision(9, "-r sim:b --trace $W/trace"+identity); !strings.Contains(r.stderr, test.says) {
					t.Errorf("%s", r.stderr)
				}
				if changes := d.changes(); len(changes) > 0 {
					t.Errorf("sent: %v", changes)
				}
			}
			if d.simState("b") != before || len(d.cards()) != len(cards) {
				t.Errorf("it was changed: %v", d.cards())
			}
			d.rows("floppy,Floppy Head")
			d.provision(0, "-r sim:a")
		})
	}
}

// TestJavaCardWithoutARow is not changed, and not in the ledger.
func TestJavaCardWithoutARow(t *testing.T) {
	t.Parallel()
	d := newJavaRows(t, anyJava)
	d.rows("floppy,Floppy Head")
	d.line("sim create a --applications gp --serial 0000000A")
	d.line("sim create b --applications gp --serial 0000000B")
	d.provision(0, "-r sim:a")
	before := d.simState("b")
	for _, how := range []string{"-r sim:b", "-r sim:b --dry-run"} {
		if r := d.provision(9, how); !strings.Contains(r.stderr, "no row is left") {
			t.Errorf("%s", r.stderr)
		}
	}
	if d.simState("b") != before || len(d.cards()) != 1 {
		t.Errorf("%v", d.cards())
	}
}

// TestJavaCardInTheLedgerBefore is known by its chip, as single commands write it down: it
// is the same card afterwards.
func TestJavaCardInTheLedgerBefore(t *testing.T) {
	t.Parallel()
	d := newJavaRows(t, anyJava)
	d.rows("floppy,Floppy Head")
	d.line("sim create a --applications gp --serial 0000000A")
	d.vars = append(d.vars, "CARDCTL_LEDGER=sqlite:"+d.state+"/ledger.db")
	d.line("applet install $W/OpenPGP.cap -r sim:a --instance D276000124010304AFAF000000770000 --card-keys default")
	d.line("applet delete D27600012401 --with-applets --yes -r sim:a --card-keys default")
	if cards := d.cards(); len(cards) != 1 {
		t.Fatalf("%v", cards)
	}
	d.provision(0, "-r sim:a")
	if cards := d.cards(); len(cards) != 1 || cards[d.serial("a")] != "active floppy" {
		t.Errorf("%v", cards)
	}
	history := d.must("ledger", "show", d.serial("a")).stdout
	if !strings.Contains(history, "begin applet install") || !strings.Contains(history, "chip 40020000000A0001") {
		t.Errorf("%s", history)
	}
}

// TestJavaCardAgain is a card that came back: it is erased, or gets its applet once more,
// and its card keys are those of the ledger.
func TestJavaCardAgain(t *testing.T) {
	for _, name := range []string{"the applet is there", "the applet is gone", "the applet is another one"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			gone, other := name == "the applet is gone", name == "the applet is another one"
			d := newJavaRows(t, anyJava)
			d.rows("floppy,Floppy Head")
			d.line("sim create a --applications gp --serial 0000000A")
			d.provision(0, "-r sim:a")
			d.vars = append(d.vars, "CARD_KEYS="+d.secretOf("a", secret.CardKeys))
			serial := d.serial("a")
			if gone {
				d.line("applet delete D27600012401 --with-applets --yes -r sim:a --card-keys env:CARD_KEYS")
				before := d.simState("a")
				if r := d.provision(9, "-r sim:a --identity $W/desk.key"); !strings.Contains(r.stderr, "lacks the applet") || d.simState("a") != before {
					t.Errorf("%s", r.stderr)
				}
			}
			if other {
				d.line("applet delete D27600012401 --with-applets --yes -r sim:a --card-keys env:CARD_KEYS")
				d.line("applet install $W/OpenPGP.cap -r sim:a --instance D276000124010304AFAF000000880000 --card-keys env:CARD_KEYS")
				before := d.simState("a")
				if r := d.provision(9, "-r sim:a --identity $W/desk.key"); !strings.Contains(r.stderr, "The ledger has its chip") || d.simState("a") != before {
					t.Errorf("%s", r.stderr)
				}
			}
			d.must("ledger", "mark", serial, "returned")
			d.rows("hard,Hard Disk")
			d.provision(0, "-r sim:a --identity $W/desk.key")
			if cards := d.cards(); len(cards) != 1 || cards[d.serial("a")] != "active hard" {
				t.Errorf("%v", cards)
			}
			d.vars = append(d.vars, "CARD_KEYS="+d.secretOf("a", secret.CardKeys))
			d.line("applet list -r sim:a --card-keys env:CARD_KEYS")
		})
	}
}

// TestRevealedCardKeys are changed by the next run, which somebody who can read the ledger
// has to be there for.
func TestRevealedCardKeys(t *testing.T) {
	for name, more := range map[string]string{"": "", "a version": "newKeyVersion: 5, ", "beside the old ones": "add: true, newKeyVersion: 3, "} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newJavaRows(t, strings.Replace(anyJava, "{generate: card-keys", "{"+more+"generate: card-keys", 1))
			d.rows("floppy,Floppy Head")
			d.line("sim create a --applications gp --serial 0000000A")
			d.provision(0, "-r sim:a")
			old := strings.TrimSpace(d.line("ledger reveal " + d.serial("a") + " --secret card-keys --identity $W/desk.key").stdout)
			before := d.simState("a")
			if r := d.provision(9, "-r sim:a"); !strings.Contains(r.stderr, "--identity") || d.simState("a") != before {
				t.Errorf("%s", r.stderr)
			}
			for step, result := range stepsOf(t, d.provision(0, "-r sim:a --identity $W/desk.key"), 1) {
				if changed := step == "set card keys"; changed != (result == "done") {
					t.Errorf("%s: %s", step, result)
				}
			}
			now := d.secretOf("a", secret.CardKeys)
			if now == old {
				t.Error("they are the same")
			}
			d.vars = append(d.vars, "OLD="+old, "NOW="+now)
			d.line("applet list -r sim:a --card-keys env:NOW")
			if r := d.run(context.Background(), d.words("applet list -r sim:a --card-keys env:OLD")); r.exit != 4 {
				t.Errorf("the old keys: %+v", r)
			}
			d.provision(0, "-r sim:a")
			if c := d.inLedger(d.serial("a")); c.State != ledger.Active {
				t.Errorf("%+v", c)
			}
		})
	}
}
