package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/secret"
)

// events counts the records of the log.
func (d *rowsDesk) events() int {
	d.t.Helper()
	l, err := ledger.Open(context.Background(), "sqlite:"+filepath.Join(d.state, "ledger.db"), ledger.Options{})
	if err != nil {
		d.t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	n := 0
	if err := l.Events(context.Background(), ledger.EventFilter{}, func(ledger.Event) error { n++; return nil }); err != nil {
		d.t.Fatal(err)
	}
	return n
}

// changes are the commands of a trace that carry a secret, or change a card.
func (d *rowsDesk) changes() (all []string) {
	d.t.Helper()
	for lines := bufio.NewScanner(bytes.NewReader(d.fileOf("trace"))); lines.Scan(); {
		text, sent := strings.CutPrefix(lines.Text(), "> ")
		if !sent {
			continue
		}
		apdu, err := hex.DecodeString(strings.ReplaceAll(text, "*", "A"))
		if err != nil || !readsOnly(apdu) {
			all = append(all, text)
		}
	}
	return all
}

// stepsOf are the steps of a row, by their results.
func stepsOf(t *testing.T, r result, row int) map[string]string {
	t.Helper()
	steps := map[string]string{}
	var document struct {
		Rows []struct {
			Row   int
			Steps []struct{ Name, Result string }
		}
	}
	if err := json.Unmarshal([]byte(r.stdout), &document); err != nil {
		t.Fatalf("%v\n%s\n%s", err, r.stdout, r.stderr)
	}
	for _, one := range document.Rows {
		if one.Row != row {
			continue
		}
		for _, s := range one.Steps {
			steps[s.Name] = s.Result
		}
	}
	return steps
}

// TestProvisionAgain runs a plan again on cards that have all of it: nothing is sent to
// them that changes them, and nothing is recorded.
func TestProvisionAgain(t *testing.T) {
	for name, test := range map[string]struct{ create, plan string }{
		"OpenPGP": {"", strings.Replace(anyOpenPGP, "keys:", "holder: {name: \"{{.name}}\"}\nkeys:", 1)},
		"PIV":     {"--applications piv --profile piv-yubikey-5.7", anyPIV},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newRowsDesk(t, test.plan)
			d.rows("floppy,Floppy Head", "hard,Hard Disk")
			d.line("sim create a " + test.create)
			d.line("sim create b " + test.create)
			d.provision(0, "--readers sim:a,sim:b")
			a, b := d.simState("a"), d.simState("b")
			d.rows("hard,Hard Disk", "floppy,Floppy Head") // in another order: it is another table
			r := d.provision(0, "--readers sim:b,sim:a --trace $W/trace")
			for row := range 2 {
				for step, result := range stepsOf(t, r, row+1) {
					if result != "already" {
						t.Errorf("row %d: %s: %s", row+1, step, result)
					}
				}
			}
			if changes := d.changes(); len(changes) > 0 {
				t.Errorf("sent: %v", changes)
			}
			before := d.events()
			d.provision(0, "--readers sim:a,sim:b")
			d.provision(0, "--readers sim:b,sim:a --dry-run")
			if now := d.events(); now != before {
				t.Errorf("%d records more", now-before)
			}
			if d.simState("a") != a || d.simState("b") != b {
				t.Error("a card was changed")
			}
		})
	}
}

// TestPlanChanged has the plan say something else after the card was given out: it is
// refused, or only what is missing is done.
func TestPlanChanged(t *testing.T) {
	plan := strings.Replace(anyOpenPGP, "issuer: desk", "issuer: desk", 1)
	for name, test := range map[string]struct {
		old, new string
		exit     int
		says     string
		more     string
		done     []string
	}{
		"another algorithm":           {"algorithm: p256", "algorithm: p384", 9, "The plan says p384", "", nil},
		"another subject":             {`CN={{.name}}`, `CN={{.name}},O=Else`, 9, "the certificate is for", "", nil},
		"a key more":                  {"keys: [", "keys: [{ref: OPENPGP.1, algorithm: p256}, ", 0, "", "--identity $W/desk.key", []string{"key OPENPGP.1"}},
		"a key more, sealed":          {"keys: [", "keys: [{ref: OPENPGP.1, algorithm: p256}, ", 9, "--identity", "", nil},
		"a PIN of a source":           {"user: {generate: 8 digits, keep: letter}", "user: {source: env:CARDCTL_PIN}", 9, "than the plan gives", "", nil},
		"a PIN with other characters": {"user: {generate: 8 digits, keep: letter}", "user: {generate: 6 digits, keep: ledger}", 0, "", "", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newRowsDesk(t, plan)
			d.rows("floppy,Floppy Head")
			d.line("sim create a")
			d.provision(0, "-r sim:a")
			before := d.simState("a")
			d.plan(strings.Replace(plan, test.old, test.new, 1))
			r := d.provision(test.exit, "-r sim:a "+test.more)
			if !strings.Contains(r.stderr, test.says) {
				t.Errorf("%s", r.stderr)
			}
			var done []string
			for step, result := range stepsOf(t, r, 1) {
				if result == "done" {
					done = append(done, step)
				}
			}
			if !slices.Equal(done, test.done) {
				t.Errorf("done: %v, want %v", done, test.done)
			}
			if test.done == nil && d.simState("a") != before {
				t.Error("the card was changed")
			}
		})
	}
}

// TestChangedBehindTheLedger has somebody work on the card without the ledger.
func TestChangedBehindTheLedger(t *testing.T) {
	provisioned := func(t *testing.T) *rowsDesk {
		d := newRowsDesk(t, anyOpenPGP)
		d.rows("floppy,Floppy Head")
		d.line("sim create a")
		d.provision(0, "-r sim:a")
		d.vars = append(d.vars, "THEIRS="+d.secretOf("a", secret.AdminPIN), "USER="+d.secretOf("a", secret.PIN))
		return d
	}
	t.Run("the key is another one", func(t *testing.T) {
		d := provisioned(t)
		other := *d.testDesk
		other.vars = append(other.vars, "CARDCTL_READER=sim:a")
		other.must(other.words("gen-key -k OPENPGP.3 --replace $F --admin-pin env:THEIRS")...)
		before := d.simState("a")
		if r := d.provision(9, "-r sim:a --identity $W/desk.key"); !strings.Contains(r.stderr, "is not the one that the ledger has") {
			t.Errorf("%s", r.stderr)
		}
		if d.simState("a") != before {
			t.Error("the card was changed")
		}
	})
	t.Run("it was erased", func(t *testing.T) {
		d := provisioned(t)
		d.line("init -r sim:a --yes --factory-pins")
		before := d.simState("a")
		if r := d.provision(9, "-r sim:a --identity $W/desk.key"); !strings.Contains(r.stderr, "lacks the key") || d.simState("a") != before {
			t.Errorf("%s", r.stderr)
		}
		d.must("ledger", "mark", d.serial("a"), "damaged")
		d.provision(0, "-r sim:a")
	})
	t.Run("the certificate is gone", func(t *testing.T) {
		d := provisioned(t)
		d.line("delete-cert -r sim:a -k OPENPGP.3 --admin-pin env:THEIRS --yes")
		r := d.provision(0, "-r sim:a --identity $W/desk.key")
		if s := stepsOf(t, r, 1); s["certificate OPENPGP.3"] != "done" || s["key OPENPGP.3"] != "already" {
			t.Errorf("%v", s)
		}
		if c := d.inLedger(d.serial("a")); len(c.Credentials) != 1 {
			t.Errorf("%+v", c.Credentials)
		}
	})
	t.Run("the PINs are others", func(t *testing.T) {
		d := provisioned(t)
		d.line("set-pin admin -r sim:a --admin-pin env:THEIRS --new-pin env:CARDCTL_ADMIN_PIN")
		d.line("delete-cert -r sim:a -k OPENPGP.3 --yes")
		r := d.provision(4, "-r sim:a --identity $W/desk.key --trace $W/trace")
		if n := strings.Count(string(d.fileOf("trace")), "> 00200083"); n != 1 {
			t.Errorf("the admin PIN was sent %d times\n%s", n, r.stderr)
		}
		d.provision(4, "-r sim:a --identity $W/desk.key")
		d.provision(5, "-r sim:a --identity $W/desk.key")
	})
}

// secretOf is what the ledger has of a card.
func (d *rowsDesk) secretOf(name string, kind secret.Name) string {
	d.t.Helper()
	return d.secretOn(d.serial(name), kind)
}

// secretOn is what the ledger has of the card with a serial.
func (d *rowsDesk) secretOn(serial string, kind secret.Name) string {
	d.t.Helper()
	for _, s := range d.inLedger(serial).Secrets {
		if s.Kind != kind || !s.Set {
			continue
		}
		value, err := ledger.Unseal(context.Background(), s.Blob, d.identity)
		if err != nil {
			d.t.Fatal(err)
		}
		return string(value.Reveal())
	}
	d.t.Fatalf("no %s", kind)
	return ""
}

// TestInitAlways erases only what may be erased, and only after a question.
func TestInitAlways(t *testing.T) {
	for name, test := range map[string]struct{ create, plan, use string }{
		"OpenPGP": {"", anyOpenPGP, "init -r sim:a --yes;gen-key -r sim:a -k OPENPGP.3"},
		"PIV":     {"--applications piv --profile piv-yubikey-5.7", anyPIV, "gen-key -r sim:a -k PIV.9A --management-key default"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newRowsDesk(t, test.plan)
			d.rows("floppy,Floppy Head")
			d.line("sim create a " + test.create)
			for _, line := range strings.Split(test.use, ";") {
				d.line(line)
			}
			before := d.simState("a")
			r := d.run(context.Background(), d.words("provision $W/plan.yaml --rows $W/rows.csv -o json -r sim:a"))
			if r.exit != 9 || d.simState("a") != before {
				t.Fatalf("not confirmed: %+v", r)
			}
			if c := d.inLedger(d.serial("a")); c != nil && c.State == ledger.Active {
				t.Errorf("%+v", c)
			}
			r = d.provision(0, "-r sim:a")
			if s := stepsOf(t, r, 1); s["init"] != "done" {
				t.Errorf("%v", s)
			}
			d.provision(0, "-r sim:a")
			after := d.simState("a")
			r = d.provision(0, "-r sim:a --trace $W/trace")
			if changes := d.changes(); len(changes) > 0 || d.simState("a") != after {
				t.Errorf("an active card was changed: %v", changes)
			}
			serial := d.serial("a")
			for _, state := range []string{"returned", "damaged"} {
				d.must("ledger", "mark", serial, state)
				d.rows("hard " + state + ",Hard Disk")
				d.plan(strings.Replace(test.plan, "init: always", "init: if-blank", 1))
				d.provision(9, "-r sim:a")
				d.plan(test.plan)
				d.provision(0, "-r sim:a")
				serial = d.serial("a")
				c := d.inLedger(serial)
				if c.State != ledger.Active || c.Person.ID != "hard "+state || len(c.Credentials) != 1 {
					t.Errorf("%+v", c)
				}
				d.provision(0, "-r sim:a")
			}
		})
	}
}

// TestErasedCardPulled pulls a card that is erased out at every command: the former key is
// never taken for that of the plan, and the new one not erased again.
func TestErasedCardPulled(t *testing.T) {
	for name, test := range map[string]struct{ create, plan, use, key string }{
		"OpenPGP":    {"", anyOpenPGP, "init -r sim:a --yes;gen-key -r sim:a -k OPENPGP.3", "OPENPGP.3"},
		"PIV":        {"--applications piv --profile piv-yubikey-5.7", anyPIV, "gen-key -r sim:a -k PIV.9A --management-key default", "PIV.9A"},
		"an old PIV": {"--applications piv --profile piv-yubikey-4", strings.Replace(anyPIV, "init: always", "init: always, allowUnknownTries: true", 1), "init -r sim:a --app piv --factory-pins --yes;gen-key -r sim:a -k PIV.9A --management-key default", "PIV.9A"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newRowsDesk(t, test.plan)
			d.rows("floppy,Floppy Head")
			d.line("sim create a " + test.create)
			for _, line := range strings.Split(test.use, ";") {
				d.line(line)
			}
			d.vars = append(d.vars, "CARDCTL_READER=sim:a")
			before := keygripOf(d.info(), test.key)
			p := &provisioning{testDesk: d.testDesk, identity: d.identity}
			restore := p.keep(t)
			command := d.words("provision $W/plan.yaml --rows $W/rows.csv --yes")
			honest := d.run(context.Background(), command, moments["before command"].fault(1<<30))
			if honest.exit != 0 {
				t.Fatalf("exit status %d\n%s", honest.exit, honest.stderr)
			}
			for moment, m := range moments {
				for n := 1; n <= m.what(honest.traffic); n++ {
					if !everyPoint() && n < m.what(honest.traffic)-4 && n%7 != 0 {
						continue // the quick run
					}
					restore()
					r := d.run(context.Background(), command, m.fault(n))
					t.Run(fmt.Sprintf("pulled %s %d", moment, n), func(t *testing.T) {
						here := d.in(t)
						made := ""
						if c := d.in(t).run(context.Background(), []string{"ledger", "show", d.serial("a")}); strings.Contains(c.stdout, "note key") {
							made = keygripOf(here.info(), test.key)
						}
						again := here.run(context.Background(), command)
						if again.exit == 9 && strings.Contains(again.stderr, "--identity") {
							again = here.run(context.Background(), append(slices.Clone(command), "--identity", filepath.Join(d.state, "desk.key"), "--allow-last-try"))
						}
						if again.exit != 0 {
							t.Fatalf("exit status %d\n%s\nafter %s", again.exit, again.stderr, r.stderr)
						}
						now := keygripOf(here.info(), test.key)
						if now == before {
							t.Error("the key is that of the card before it was erased")
						}
						if made != "" && now != made {
							t.Error("the key is another one")
						}
						if issued := strings.Count(here.must(here.words("ca list $W/ca -o json")...).stdout, `"serialNumber"`); issued != 1 {
							t.Errorf("%d certificates were issued\n%s", issued, r.stderr)
						}
					})
				}
			}
		})
	}
}
