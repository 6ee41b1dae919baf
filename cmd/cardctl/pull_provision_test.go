package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/test/stack"
)

// command is the same command each time.
func (d *provisioning) command(more ...string) []string {
	return append(d.words("provision $W/plan.yaml --rows $W/rows.csv --yes"), more...)
}

// TestProvisionPulled pulls the card out at every command of a plan, and at every write.
// The same command goes on, with the key and the certificate that the card has.
func TestProvisionPulled(t *testing.T) {
	for name, p := range provisionings {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newProvisioning(t, p)
			restore := d.keep(t)
			honest, tries := d.honest(t)
			points, recovered := 0, 0
			for moment, m := range moments {
				for n := 1; n <= m.what(honest); n = p.next(n) {
					restore()
					r := d.run(context.Background(), d.command(), m.fault(n))
					points++
					at := fmt.Sprintf("pulled %s %d", moment, n)
					if t.Run(at, func(t *testing.T) {
						if r.exit != 10 && r.exit != 0 {
							t.Errorf("exit status %d\n%s", r.exit, r.stderr)
						}
						d.goesOn(t, r, m.inside, tries)
					}) {
						recovered++
					}
				}
			}
			stack.Held(t, "pulled out", name, "provision", "in-process", points, recovered)
		})
	}
}

// honest runs the plan with nothing that disturbs it. It tells what the card got, and what
// tries its PINs have then, which a card that was disturbed has too.
func (d *provisioning) honest(t *testing.T) (cardsim.Traffic, map[string]int) {
	t.Helper()
	r := d.run(context.Background(), d.command(), cardsim.RemoveBefore(1<<30))
	if r.exit != 0 {
		t.Fatalf("exit status %d\n%s", r.exit, r.stderr)
	}
	tries := d.tries()
	d.complete(t, d.in(t))
	return r.traffic, tries
}

// goesOn runs the same command after one that was disturbed, without and then with what
// opens the ledger. A command that is cut in the middle may cost the try of a PIN.
func (d *provisioning) goesOn(t *testing.T, r result, inside bool, tries map[string]int) {
	t.Helper()
	here := d.in(t)
	d.notDone(t, r)
	key := keygripOf(here.info(), d.key)
	creating := strings.Contains(r.stderr, ": init: ") && !strings.Contains(r.stderr, ": init: done") // a PIN may have none yet
	for name, left := range here.tries() {
		if whole, known := tries[name]; known && !creating && left < whole && !(inside && left == whole-1) {
			t.Errorf("PIN %s: %d of %d tries are left", name, left, whole)
		}
	}
	again := here.run(context.Background(), d.command())
	if again.exit != 0 {
		if again.exit != 9 || !strings.Contains(again.stderr, "--identity") {
			t.Fatalf("after exit status %d\n%s\nexit status %d\n%s", r.exit, r.stderr, again.exit, again.stderr)
		}
		again = here.run(context.Background(), d.command("--identity", filepath.Join(d.state, "desk.key")))
		if again.exit == 5 && inside { // the cut cost a try, and finding out another one
			again = here.run(context.Background(), d.command("--allow-last-try"))
		}
		if again.exit != 0 {
			t.Fatalf("after exit status %d\n%s\nexit status %d\n%s", r.exit, r.stderr, again.exit, again.stderr)
		}
	}
	d.complete(t, here)
	if now := keygripOf(here.info(), d.key); key != "" && now != key {
		t.Errorf("the key is another one, after exit status %d\n%s", r.exit, r.stderr)
	}
	if now := here.tries(); !maps.Equal(now, tries) {
		t.Errorf("tries left: %v, want %v", now, tries)
	}
}

// notDone wants an error that is clear, and a ledger that does not have the card as done, after
// a run that failed.
func (d *provisioning) notDone(t *testing.T, r result) {
	t.Helper()
	cards := d.inLedger(t, ledger.Filter{})
	if len(cards) > 1 {
		t.Errorf("%+v", cards)
	}
	if r.exit == 0 {
		return
	}
	if !strings.Contains(r.stderr, "Error: ") {
		t.Errorf("no error in %s", r.stderr)
	}
	for _, c := range cards {
		if c.State != ledger.Issuing {
			t.Errorf("the card is %s, after exit status %d\n%s", c.State, r.exit, r.stderr)
		}
	}
}

// inLedger are the cards of the ledger, whose log has to be whole; none if there is no ledger
// yet. It is closed again: the files of the next one may have the same inodes.
func (d *provisioning) inLedger(t *testing.T, f ledger.Filter) []ledger.Card {
	t.Helper()
	path := filepath.Join(d.state, "ledger.db")
	if _, err := os.Stat(path); err != nil {
		return nil
	}
	l, err := ledger.Open(t.Context(), "sqlite:"+path, ledger.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if _, err := l.Verify(t.Context(), nil); err != nil {
		t.Error(err)
	}
	cards, err := l.Cards(t.Context(), f)
	if err != nil {
		t.Fatal(err)
	}
	return cards
}

// complete wants a card as the plan says, by the ledger and by itself.
func (d *provisioning) complete(t *testing.T, here *testDesk) {
	t.Helper()
	info := here.info()
	certificateOf("CN=Floppy Head")(t, here, cardInfo{Keys: info.Keys, Certificates: ownCertificates(info)})
	cards := d.inLedger(t, ledger.Filter{})
	if len(cards) != 1 {
		t.Fatalf("%+v", cards)
	}
	c := cards[0]
	if c.State != ledger.Active || c.Person == nil || c.Person.ID != "floppy@example.com" || len(c.Credentials) != 1 || len(c.Secrets) != len(d.proofs) {
		t.Fatalf("%+v", c)
	}
	for _, s := range c.Secrets {
		value, err := ledger.Unseal(t.Context(), s.Blob, d.identity)
		if err != nil || !s.Set {
			t.Fatalf("%s: %+v, %v", s.Kind, s, err)
		}
		here.vars = append(here.vars, s.Kind.Variable()+"="+string(value.Reveal()))
	}
	d.has(t, here)
	if r := here.run(context.Background(), d.command("-o", "json")); r.exit != 0 || strings.Contains(r.stdout, `"done"`) || !strings.Contains(r.stdout, `"already"`) {
		t.Errorf("done again: %+v", r)
	}
	if valid := strings.Count(here.must(here.words("ca list $W/ca -o json")...).stdout, `"state":"valid"`); valid != 1 {
		t.Errorf("%d certificates are valid", valid)
	}
}

// keygripOf names a key whatever its creation time is.
func keygripOf(info cardInfo, ref string) string {
	for _, k := range info.Keys {
		if k.Ref == ref {
			return cmp.Or(k.Keygrip, k.Fingerprint)
		}
	}
	return ""
}

// ownCertificates are those that are not the maker's.
func ownCertificates(info cardInfo) (own []certstore.Stored) {
	for _, c := range info.Certificates {
		if c.Ref != "PIV.F9" {
			own = append(own, c)
		}
	}
	return own
}
