package main

import (
	"context"
	"strings"
	"testing"
)

// TestDamaged has a cut leave a secret that nobody can read: the error says how the card is
// given up, and that starts it again, with another key, and the certificate revoked.
func TestDamaged(t *testing.T) {
	p := provisionings["OpenPGP"]
	p.plan = strings.Replace(p.plan, "{application:", "{init: always, application:", 1)
	d := newProvisioning(t, p)
	restore := d.keep(t)
	var cut result
	for n := 1; cut.exit != 9; n++ {
		restore()
		if r := d.run(context.Background(), d.command(), moments["just when written"].fault(n)); r.exit == 0 {
			t.Fatal("no cut left a secret that nobody can read")
		}
		cut = d.run(context.Background(), d.command())
	}
	_, says, _ := strings.Cut(cut.stderr, "If nobody can read it, mark ")
	serial, says, _ := strings.Cut(says, " ")
	if !strings.HasPrefix(says, "in the ledger as damaged") {
		t.Fatalf("%s", cut.stderr)
	}
	d.must(d.words("ledger mark " + serial + " damaged --revoke --issuer-secret env:CA_PASSWORD --yes")...)
	d.must(d.command()...)
	d.complete(t, d.testDesk)
	if list := d.must(d.words("ca list $W/ca -o json")...).stdout; strings.Count(list, `"serialNumber"`) != 2 || strings.Count(list, `"state":"revoked"`) != 1 {
		t.Errorf("%s", list)
	}
}
