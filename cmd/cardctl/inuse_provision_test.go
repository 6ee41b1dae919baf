//go:build unix

package main

import (
	"testing"

	"context"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/test/opensc"
)

// TestCardInUseIsNotErased has a card whose PINs are set when it is erased, and that the
// ledger has as this person's, but not with its PINs: it is not erased, whatever a plan and
// --yes say.
func TestCardInUseIsNotErased(t *testing.T) {
	for _, application := range []string{"pkcs15", "myeid"} {
		for _, init := range []string{"if-blank", "always"} {
			t.Run(application+" "+init, func(t *testing.T) {
				t.Parallel()
				d := newRowsDesk(t, `
card: {application: pkcs15, init: `+init+`}
pins: {user: "env:P15_PIN"}
keys: [{ref: PKCS15.45}]`)
				s := &swapDesk{testDesk: d.testDesk}
				s.programs = &opensc.Programs{Connect: func(ctx context.Context) (iso7816.Connection, error) { return s.reader.Connect(ctx) }}
				s.readers, d.testDesk.programs = s, s.programs.Tools().Run
				d.vars = append(d.vars, "CARDCTL_READER="+opensc.Reader, "P15_PIN=246813", "P15_PUK16=1234567890123456", "P15_PUK8=12345678", "P15_SO_PIN=87654321")
				secrets := "--puk env:P15_PUK16"
				if application == "myeid" {
					secrets = "--puk env:P15_PUK8 --so-pin env:P15_SO_PIN"
				}
				kindOfCard{options: cardsim.Options{Applications: []string{application}}}.card(t, "", []string{
					"init --app pkcs15 --label desk --yes --pin env:P15_PIN " + secrets, "gen-key -k PKCS15.45 --pin env:P15_PIN",
				}, s)
				before := fingerprintOf(d.info(), "PKCS15.45")
				d.rows("floppy,Floppy Head")
				d.plan("person: {id: floppy, name: Floppy}\ncard: {application: pkcs15}\nkeys: [{ref: PKCS15.46}]\npins: {user: \"env:P15_PIN\"}")
				d.line("provision $W/plan.yaml --yes")
				d.plan(`
card: {application: pkcs15, init: ` + init + `}
pins: {user: "env:P15_PIN"}
keys: [{ref: PKCS15.45}, {ref: PKCS15.47}]`)
				d.provision(0, "")
				if now := fingerprintOf(d.info(), "PKCS15.45"); now != before {
					t.Errorf("the key %s became %q", before, now)
				}
			})
		}
	}
}
