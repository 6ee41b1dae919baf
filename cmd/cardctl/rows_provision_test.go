package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
)

// TestSecretsThatNoCardTakes are refused before the first card.
func TestSecretsThatNoCardTakes(t *testing.T) {
	for name, test := range map[string]struct{ plan, says string }{
		"a short PIN, OpenPGP":       {"card: {application: openpgp}\npins: {user: {generate: 5 digits, keep: letter}}", "5 characters: It has at least 6."},
		"a short admin PIN, OpenPGP": {"card: {application: openpgp}\npins: {admin: {generate: 7 letters, keep: ledger}}", "7 characters: It has at least 8."},
		"a short code, OpenPGP":      {"card: {application: openpgp}\npins: {resetCode: {generate: 7 letters, keep: ledger}}", "7 characters: It has at least 8."},
		"a long PIN, PIV":            {"card: {application: piv}\npins: {user: {generate: 9 digits, keep: letter}}", "9 characters: It has 6 to 8."},
		"a PIN of letters, PIV":      {"card: {application: piv}\npins: {user: {generate: 8 letters, keep: letter}}", "digits only"},
		"a short PUK, PIV":           {"card: {application: piv}\npins: {puk: {generate: 5 letters, keep: ledger}}", "5 characters: It has 6 to 8."},
		"a long PIN, PKCS#15":        {"card: {application: pkcs15}\npins: {user: {generate: 17 digits, keep: letter}}", "17 characters: It has 4 to 16."},
		"a PUK, OpenPGP":             {"card: {application: openpgp}\npins: {puk: {generate: 8 digits, keep: ledger}}", "has no PUK"},
		"a given PUK, OpenPGP":       {"card: {application: openpgp}\npins: {puk: {source: \"env:PUK\"}}", "has no PUK"},
		"a management key, OpenPGP":  {"card: {application: openpgp}\nmanagementKey: {generate: management-key, keep: ledger}", "has no management key"},
		"a protected key, PKCS#15":   {"card: {application: pkcs15}\nmanagementKey: {protect: true}", "has no management key"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newRowsDesk(t, test.plan)
			if r := d.provision(2, "-r sim:none"); !strings.Contains(r.stderr, test.says) {
				t.Errorf("%s", r.stderr)
			}
		})
	}
}

// TestTwoRowsForOneCard name it by its serial and by an ending of it: that is said, and by a dry
// run too. The card is nobody's, and not changed.
func TestTwoRowsForOneCard(t *testing.T) {
	t.Parallel()
	d := newRowsDesk(t, strings.Replace(anyOpenPGP, "init: always", `init: always, serial: "{{.serial}}"`, 1))
	d.line("sim create a --serial 00000666")
	d.writeFile("rows.csv", []byte("mail,name,serial\nfloppy,Floppy Head,FFFE00000666\nhard,Hard Disk,00000666\n"))
	before := d.simState("a")
	for _, more := range []string{"-r sim:a --dry-run", "-r sim:a"} {
		if r := d.provision(9, more); !strings.Contains(r.stderr, "2 rows name this card") {
			t.Errorf("%s: %s", more, r.stderr)
		}
	}
	if d.simState("a") != before || d.inLedger("FFFE00000666") != nil {
		t.Error("the card was changed, or is in the ledger")
	}
}

// TestRowsAndCards are tables and readers that do not fit each other.
func TestRowsAndCards(t *testing.T) {
	desk := func(t *testing.T, cards ...string) *rowsDesk {
		d := newRowsDesk(t, anyOpenPGP)
		for _, card := range cards {
			d.line("sim create " + card)
		}
		return d
	}
	withSerial := strings.Replace(anyOpenPGP, "init: always", `init: always, serial: "{{.serial}}"`, 1)
	t.Run("more rows than cards", func(t *testing.T) {
		d := desk(t, "a")
		r := d.provision(3, "--readers sim:a")
		if !strings.Contains(r.stderr, "row 2") || !strings.Contains(r.stdout, "there was no card for row 3") {
			t.Errorf("%s%s", r.stdout, r.stderr)
		}
	})
	t.Run("more cards than rows", func(t *testing.T) {
		d := desk(t, "a", "b", "c")
		d.rows("floppy,Floppy Head", "hard,Hard Disk")
		r := d.provision(0, "--readers sim:a,sim:b,sim:c")
		if !strings.Contains(r.stdout, `"leftOut":[{"reader":"sim:c"`) {
			t.Errorf("%s", r.stdout)
		}
		d.provision(0, "--readers sim:c,sim:b,sim:a")
		if c := d.inLedger(d.serial("c")); c != nil {
			t.Errorf("%+v", c)
		}
	})
	t.Run("one reader twice", func(t *testing.T) {
		d := desk(t, "a", "b")
		d.rows("floppy,Floppy Head", "hard,Hard Disk")
		r := d.provision(3, "--readers sim:a,sim:a")
		if !strings.Contains(r.stdout, "there was no card for row 2") || strings.Contains(r.stdout, `"row":0`) || strings.Contains(r.stdout, "leftOut") {
			t.Errorf("%s", r.stdout)
		}
	})
	t.Run("no such reader", func(t *testing.T) {
		d := desk(t, "a")
		d.rows("floppy,Floppy Head")
		before := d.simState("a")
		for _, readers := range []string{"sim:none", "none", "sim:a,none"} {
			d.provision(3, "--readers "+readers)
		}
		if d.simState("a") != before {
			t.Error("a card was changed")
		}
	})
	t.Run("a serial in the row", func(t *testing.T) {
		d := desk(t, "a", "b")
		d.plan(withSerial)
		a, b := d.serial("a"), d.serial("b")
		d.writeFile("rows.csv", []byte("mail,name,serial\nfloppy,Floppy Head,"+b+"\nhard,Hard Disk,"+a[len(a)-8:]+"\ntape,Tape Drive,\n"))
		d.provision(3, "--readers sim:a,sim:b")
		if c := d.inLedger(b); c == nil || c.Person.ID != "floppy" {
			t.Errorf("%+v", c)
		}
		if c := d.inLedger(a); c == nil || c.Person.ID != "hard" {
			t.Errorf("%+v", c)
		}
		d.writeFile("rows.csv", []byte("mail,name,serial\nfloppy,Floppy Head,"+a+"\n"))
		before := d.simState("a")
		d.provision(9, "-r sim:a")
		if d.simState("a") != before {
			t.Error("the card was changed")
		}
	})
	t.Run("two rows with one serial", func(t *testing.T) {
		d := desk(t, "a")
		d.plan(withSerial)
		a := d.serial("a")
		d.writeFile("rows.csv", []byte("mail,name,serial\nfloppy,Floppy Head,"+a+"\nhard,Hard Disk,"+strings.ToLower(a)+"\n"))
		d.provision(2, "-r sim:a")
	})
	t.Run("two endings of one serial", func(t *testing.T) {
		d := desk(t, "a")
		d.plan(withSerial)
		a := d.serial("a")
		d.writeFile("rows.csv", []byte("mail,name,serial\nfloppy,Floppy Head,"+a+"\nhard,Hard Disk,"+a[4:]+"\n"))
		before := d.simState("a")
		r := d.run(context.Background(), d.words("provision $W/plan.yaml --rows $W/rows.csv --yes -o json -r sim:a"))
		if r.exit != 2 && r.exit != 9 || d.simState("a") != before {
			t.Errorf("%+v", r)
		}
	})
	t.Run("a row is edited", func(t *testing.T) {
		d := desk(t, "a", "b")
		d.rows("floppy,Floppy Head")
		d.provision(0, "-r sim:a")
		d.rows("floppy,Floppy Heads")
		before := d.simState("a")
		d.provision(9, "-r sim:a")
		if d.simState("a") != before {
			t.Error("the card was changed")
		}
		d.rows("flop,Floppy Head")
		d.provision(9, "-r sim:a")
		d.rows("floppy,Floppy Head") // who has a card gets no other
		d.provision(9, "-r sim:b")
	})
	t.Run("a person with two rows", func(t *testing.T) {
		d := desk(t, "a")
		d.rows("floppy,Floppy Head", "floppy,Hard Disk")
		d.provision(2, "-r sim:a")
	})
	t.Run("two processes", func(t *testing.T) {
		cards := []string{"a", "b", "c", "d", "e", "f"}
		d := desk(t, cards...)
		var people []string
		for i := range cards {
			people = append(people, fmt.Sprintf("p%d,Person %d", i, i))
		}
		d.rows(people...)
		var all sync.WaitGroup
		for _, readers := range []string{"sim:a,sim:b,sim:c", "sim:d,sim:e,sim:f"} {
			all.Go(func() {
				r := d.run(context.Background(), d.words("provision $W/plan.yaml --rows $W/rows.csv --yes -o json --readers "+readers))
				if strings.Contains(r.stdout, `"leftOut"`) {
					t.Errorf("%+v", r)
				}
			})
		}
		all.Wait()
		seen := map[string]bool{}
		for _, card := range cards {
			c := d.inLedger(d.serial(card))
			if c == nil || c.State != ledger.Active || seen[c.Person.ID] {
				t.Errorf("%s: %+v", card, c)
				continue
			}
			seen[c.Person.ID] = true
		}
	})
	t.Run("a large table", func(t *testing.T) {
		d := desk(t, "a")
		var people []string
		many := 20_000
		if everyPoint() {
			many = 100_000
		}
		for i := range many {
			people = append(people, fmt.Sprintf("p%d,Person %d", i, i))
		}
		d.rows(people...)
		begun := time.Now()
		d.provision(3, "--readers sim:a --progress none")
		// Work that grows with the square of the rows takes minutes.
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("%s", took)
		}
	})
}

// TestProvisionStopped has a run end in the middle: the ledger has what is so.
func TestProvisionStopped(t *testing.T) {
	t.Run("interrupted", func(t *testing.T) {
		d := newRowsDesk(t, strings.Replace(anyOpenPGP, "issuer: desk", "issuer: slow", 1)+"\nissuers: {slow: {url: \"command:sleep 60\"}}")
		d.rows("floppy,Floppy Head")
		d.line("sim create a")
		ctx, stop := context.WithTimeout(t.Context(), 2*time.Second)
		defer stop()
		r := d.run(ctx, d.words("provision $W/plan.yaml --rows $W/rows.csv --yes -o json -r sim:a"))
		if r.exit == 0 {
			t.Errorf("%+v", r)
		}
		c := d.inLedger(d.serial("a"))
		if c == nil || c.State != ledger.Issuing || len(c.Credentials) != 0 {
			t.Errorf("%+v", c)
		}
		d.plan(anyOpenPGP) // another plan: the card is that person's
		d.provision(0, "-r sim:a")
	})
	t.Run("the ledger is read-only", func(t *testing.T) {
		d := newRowsDesk(t, anyOpenPGP)
		d.rows("floppy,Floppy Head")
		d.line("sim create a")
		before := d.simState("a")
		d.writeFile("ledger.db", []byte("this is no database, and never was one"))
		r := d.run(context.Background(), d.words("provision $W/plan.yaml --rows $W/rows.csv --yes -o json -r sim:a"))
		if r.exit == 0 || d.simState("a") != before {
			t.Errorf("%+v", r)
		}
	})
}

// TestSecretsOfPlans are asked for once, and sent once.
func TestSecretsOfPlans(t *testing.T) {
	t.Run("a command for all, and for each row", func(t *testing.T) {
		d := newRowsDesk(t, `
card: {application: openpgp}
pins: {user: "command:echo $CARDCTL_ROW_MAIL >>$W/asked; echo 86421357", admin: "file:$W/admin"}
keys: [{ref: OPENPGP.3, algorithm: p256, certificate: {subject: "CN={{.name}}", issuer: desk}}]`)
		d.writeFile("admin", []byte("2718281828\n"))
		d.rows("floppy,Floppy Head", "hard,Hard Disk")
		d.line("sim create a")
		d.line("sim create b")
		r := d.provision(0, "--readers sim:a,sim:b --trace $W/trace")
		asked := strings.Fields(string(d.fileOf("asked")))
		if len(asked) != 2 || asked[0] == asked[1] {
			t.Errorf("%q\n%s", asked, r.stdout)
		}
		d.vars = append(d.vars, "U=86421357", "A=2718281828")
		for _, card := range []string{"a", "b"} {
			d.line("set-pin user -r sim:" + card + " --pin env:U --new-pin env:U")
			d.line("set-pin admin -r sim:" + card + " --admin-pin env:A --new-pin env:A")
		}
		for _, name := range []string{"trace", "ledger.db"} {
			if text := string(d.fileOf(name)); strings.Contains(text, "86421357") || strings.Contains(text, "2718281828") {
				t.Errorf("a PIN is in %s", name)
			}
		}
	})
	t.Run("a wrong current PIN", func(t *testing.T) {
		d := newRowsDesk(t, `
card: {application: openpgp}
pins: {user: {source: "env:NEW", current: "env:WRONG"}, admin: {source: "env:NEW", current: "env:WRONG"}}
keys: [{ref: OPENPGP.3, algorithm: p256, certificate: {subject: "CN={{.name}}", issuer: desk}}]`)
		d.vars = append(d.vars, "NEW=99887766", "WRONG=11223344")
		d.rows("floppy,Floppy Head")
		d.line("sim create a")
		d.line("init -r sim:a --yes")
		d.line("gen-key -r sim:a -k OPENPGP.1")
		d.provision(4, "-r sim:a --trace $W/trace")
		if n := strings.Count(string(d.fileOf("trace")), "> 002000"); n != 1 {
			t.Errorf("a PIN was sent %d times", n)
		}
		d.provision(4, "-r sim:a")
		d.provision(5, "-r sim:a")
	})
}
