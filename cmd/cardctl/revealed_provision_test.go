//go:build unix

package main

import (
	"context"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/opensc"
)

// revealing is a kind of card, with the secrets of it that are generated and kept, and a
// command that works with each only if the card has it.
type revealing struct {
	options cardsim.Options
	plan    string
	proofs  map[secret.Name]string
	// stays is a secret that such a card cannot change.
	stays secret.Name
}

var revealings = map[string]revealing{
	"OpenPGP": {
		plan: strings.Replace(anyOpenPGP, "pins: {", "pins: {resetCode: {generate: 9 letters, keep: ledger}, ", 1),
		proofs: map[secret.Name]string{
			secret.PIN: "set-pin user --pin env:NOW --new-pin env:NEXT", secret.AdminPIN: "set-pin admin --admin-pin env:NOW --new-pin env:NEXT",
			secret.ResetCode: "unblock-pin user --reset-code env:NOW --new-pin env:NEXT",
		},
	},
	"PIV": {
		options: cardsim.Options{Applications: []string{"piv"}, Profile: "piv-yubikey-5.7"}, plan: anyPIV,
		proofs: map[secret.Name]string{
			secret.PIN: "set-pin user --pin env:NOW --new-pin env:NEXT", secret.PUK: "set-pin puk --puk env:NOW --new-pin env:NEXT",
			secret.ManagementKey: "gen-key -k PIV.9D --management-key env:NOW",
		},
	},
	"IsoApplet": {
		options: cardsim.Options{Applications: []string{"pkcs15"}},
		plan: `
card: {application: pkcs15, allowUnknownTries: true}
pins: {user: {generate: 8 digits, keep: both}, puk: {generate: 16 digits, keep: ledger}}
keys: [{ref: PKCS15.45, algorithm: p256}]`,
		proofs: map[secret.Name]string{
			secret.PIN: "set-pin user --pin env:NOW --new-pin env:NEXT --allow-unknown-tries",
			secret.PUK: "unblock-pin user --puk env:NOW --new-pin env:NEXT --allow-unknown-tries",
		},
		stays: secret.PUK,
	},
	"MyEID": {
		options: cardsim.Options{Applications: []string{"myeid"}},
		plan: `
card: {application: pkcs15}
pins: {user: {generate: 8 digits, keep: both}, puk: {generate: 8 digits, keep: ledger}, so: {generate: 8 digits, keep: ledger}}
keys: [{ref: PKCS15.45, algorithm: p256}]`,
		proofs: map[secret.Name]string{
			secret.PIN: "set-pin user --pin env:NOW --new-pin env:NEXT", secret.PUK: "unblock-pin user --puk env:NOW --new-pin env:NEXT",
			secret.SOPIN: "set-pin so --so-pin env:NOW --new-pin env:NEXT",
		},
		stays: secret.PUK,
	},
}

// revealedName is what the command line of the ledger calls a secret.
var revealedName = map[secret.Name]string{
	secret.PIN: "user-pin", secret.AdminPIN: "admin-pin", secret.ResetCode: "reset-code", secret.PUK: "puk", secret.SOPIN: "so-pin",
	secret.ManagementKey: "management-key",
}

// TestRevealedIsChanged has secrets shown: the next run changes them, and only them. What a
// card cannot change it says, and changes nothing.
func TestRevealedIsChanged(t *testing.T) {
	for name, test := range revealings {
		for kind, proof := range test.proofs {
			t.Run(name+" "+revealedName[kind], func(t *testing.T) {
				t.Parallel()
				d := newRowsDesk(t, test.plan)
				d.rows("floppy,Floppy Head")
				s := &swapDesk{testDesk: d.testDesk}
				s.programs = &opensc.Programs{Connect: func(ctx context.Context) (iso7816.Connection, error) { return s.reader.Connect(ctx) }}
				s.readers, d.testDesk.programs = s, s.programs.Tools().Run
				d.vars = append(d.vars, "CARDCTL_READER="+opensc.Reader)
				card, err := cardsim.NewCard(test.options)
				if err != nil {
					t.Fatal(err)
				}
				s.put(card)
				d.provision(0, "")
				var serial string
				for serial = range d.cards() {
				}
				old := strings.TrimSpace(d.line("ledger reveal " + serial + " --secret " + revealedName[kind] + " --identity $W/desk.key").stdout)
				if old != d.secretOn(serial, kind) {
					t.Error("another one was shown")
				}
				if kind == test.stays {
					for range 2 {
						r := d.provision(7, "--identity $W/desk.key")
						if !strings.Contains(r.stderr, "the PUK was revealed, and cannot be changed") || d.secretOn(serial, kind) != old || stepsOf(t, r, 1)["set PUK"] != "failed" {
							t.Errorf("%+v", r)
						}
					}
					d.vars = append(d.vars, "NOW="+old, "NEXT=86421357")
					d.line(proof)
					return
				}
				if r := d.provision(9, ""); !strings.Contains(r.stderr, "--identity") {
					t.Errorf("%+v", r)
				}
				for step, result := range stepsOf(t, d.provision(0, "--identity $W/desk.key"), 1) {
					if changed := step == "set "+kind.Words(); changed != (result == "done") {
						t.Errorf("%s: %s", step, result)
					}
				}
				now := d.secretOn(serial, kind)
				if now == old {
					t.Error("it is the same")
				}
				d.provision(0, "")
				d.vars = append(d.vars, "NOW="+now, "NEXT=86421357")
				d.line(proof)
			})
		}
	}
}
