package main

import (
	"context"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// TestCardOfARecipient has the key of a recipient in a PIV slot of the card: a plan for
// another application of it is refused, too.
func TestCardOfARecipient(t *testing.T) {
	for name, test := range map[string]struct{ applications, plan string }{
		"PIV":                 {"openpgp,piv", "card: {application: piv, init: always}\nkeys: [{ref: PIV.9A, algorithm: p256}]"},
		"another application": {"openpgp,piv", "card: {application: openpgp, init: always}\nkeys: [{ref: OPENPGP.3, algorithm: p256}]"},
		"a Java card":         {"gp,piv", "card: {application: openpgp}\napplet: {file: \"$W/OpenPGP.cap\", cardKeys: default}\nkeys: [{ref: OPENPGP.3, algorithm: p256}]"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newJavaRows(t, test.plan)
			d.line("sim create held --applications " + test.applications + " --profile piv-yubikey-5.7")
			d.line("gen-key -r sim:held -k PIV.82 --management-key default")
			recipient := stack.Recipient(t, d.line("export-key -r sim:held -k PIV.82").stdout)
			d.plan(test.plan + "\nseal: [" + recipient + "]")
			before := d.simState("held")
			r := d.run(context.Background(), d.words("provision $W/plan.yaml --rows $W/rows.csv --yes -o json -r sim:held"))
			if r.exit != 9 || !strings.Contains(r.stderr, "the key of a recipient") || d.simState("held") != before {
				t.Errorf("%+v", r)
			}
		})
	}
}
