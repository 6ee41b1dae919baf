package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/ledger"
)

// certifies is the command of a CA of openssl, which notes for whom.
const certifies = "openssl x509 -req -CA $W/office.pem -CAkey $W/office.key -days 20 && echo $CARDCTL_ROW_MAIL >>$W/issued"

// byCommand has a CA of openssl behind a command, which does something else first.
func byCommand(t *testing.T, plan, create, first string, cards ...string) *rowsDesk {
	t.Helper()
	d := newRowsDesk(t, strings.Replace(plan, "issuer: desk", "issuer: office", 1)+"\nissuers: {office: {url: \"command:"+first+" "+certifies+"\"}}")
	for _, card := range cards {
		d.line("sim create " + card + " " + create)
	}
	d.commandCA()
	return d
}

// commandCA makes what the command certifies with.
func (d *rowsDesk) commandCA() {
	d.t.Helper()
	if out, err := exec.CommandContext(d.t.Context(), "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30",
		"-subj", "/CN=Office", "-keyout", d.state+"/office.key", "-out", d.state+"/office.pem").CombinedOutput(); err != nil {
		d.t.Fatalf("%v\n%s", err, out)
	}
	d.writeFile("issued", nil)
}

// keyOf names the key of a card, whatever its creation time is. No PIN may have lost a try.
func (d *rowsDesk) keyOf(card, ref string) string {
	d.t.Helper()
	here := *d.testDesk
	here.vars = append(slices.Clone(d.vars), "CARDCTL_READER=sim:"+card)
	info := here.info()
	for _, pin := range info.PINs {
		if pin.Set && pin.TriesLeft != 3 {
			d.t.Errorf("PIN %s: %d tries left", pin.Name, pin.TriesLeft)
		}
	}
	return keygripOf(info, ref)
}

// untilFile ends once a file is made; it is removed before.
func (d *rowsDesk) untilFile(t *testing.T, name string) context.Context {
	t.Helper()
	path := filepath.Join(d.state, name)
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	go func() {
		defer stop()
		for t.Context().Err() == nil {
			if _, err := os.Stat(path); err == nil {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	}()
	return ctx
}

// cardKinds are kinds of cards with a plan for any row.
var cardKinds = map[string]struct{ create, plan, key string }{
	"OpenPGP": {"", anyOpenPGP, "OPENPGP.3"},
	"PIV":     {"--applications piv --profile piv-yubikey-5.7", anyPIV, "PIV.9A"},
}

// TestOneRowIsNotIssued has an issuer refuse one of several rows: the others get their
// certificates, and so does that one with the same command, for the key that it has.
func TestOneRowIsNotIssued(t *testing.T) {
	for name, kind := range cardKinds {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := byCommand(t, kind.plan, kind.create, "test $CARDCTL_ROW_MAIL != hard || test -e $W/up &&", "a", "b", "c")
			const readers = "--readers sim:a,sim:b,sim:c"
			r := d.provision(1, readers)
			for card, want := range map[string]string{"a": "active floppy", "b": "issuing hard", "c": "active tape"} {
				if state := d.inState(card); state != want {
					t.Errorf("card %s: %s, want %s\n%s", card, state, want, r.stdout)
				}
			}
			if steps := stepsOf(t, r, 2); steps["key "+kind.key] != "done" || steps["certificate "+kind.key] != "failed" || steps["set PIN"] != "skipped" {
				t.Errorf("%v", steps)
			}
			key := d.keyOf("b", kind.key)
			d.writeFile("up", nil)
			d.provision(0, readers)
			if now := d.keyOf("b", kind.key); key == "" || now != key {
				t.Errorf("the key was %s, and is %s", key, now)
			}
			if issued := strings.Fields(string(d.fileOf("issued"))); len(issued) != 3 || issued[2] != "hard" {
				t.Errorf("issued: %v", issued)
			}
		})
	}
}

// TestIssuerAnswersLater has a CA that does not answer, or refuses, at first. The same
// command goes on with the key that the card has, and gets one certificate.
func TestIssuerAnswersLater(t *testing.T) {
	for name, kind := range cardKinds {
		for what, first := range map[string]string{"refuses": "test -e $W/up &&", "does not answer": "test -e $W/up || { touch $W/asked; exec sleep 60; };"} {
			t.Run(name+" "+what, func(t *testing.T) {
				t.Parallel()
				d := byCommand(t, kind.plan, kind.create, first, "a")
				d.rows("floppy,Floppy Head")
				command := d.words("provision $W/plan.yaml --rows $W/rows.csv --yes -o json -r sim:a --trace $W/trace")
				key := ""
				for again := range 2 {
					r := d.run(d.untilFile(t, "asked"), command)
					if r.exit == 0 || d.inState("a") != "issuing floppy" {
						t.Fatalf("%s: %+v", d.inState("a"), r)
					}
					now := d.keyOf("a", kind.key)
					if now == "" || again > 0 && now != key {
						t.Fatalf("the key was %q, and is %q\n%s", key, now, r.stdout)
					}
					key = now
				}
				d.writeFile("up", nil)
				r := d.run(t.Context(), command)
				if r.exit != 0 {
					t.Fatalf("%+v", r)
				}
				if steps := stepsOf(t, r, 1); steps["key "+kind.key] != "already" || steps["certificate "+kind.key] != "done" {
					t.Errorf("%v", steps)
				}
				if now := d.keyOf("a", kind.key); now != key {
					t.Errorf("the key was %s, and is %s", key, now)
				}
				c := d.inLedger(d.serial("a"))
				if issued := strings.Fields(string(d.fileOf("issued"))); len(issued) != 1 || c.State != ledger.Active || len(c.Credentials) != 1 {
					t.Errorf("issued: %v, in the ledger: %s", issued, fmt.Sprint(c.State, len(c.Credentials)))
				}
			})
		}
	}
}
