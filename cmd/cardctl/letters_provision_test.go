//go:build unix

package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/secret"
)

// TestLettersKeepManagementAtTheDesk has plans that keep all secrets for the letter: it has
// what is the person's, and never what manages the card. That stays in the ledger, from
// which the help desk is given the code that unblocks.
func TestLettersKeepManagementAtTheDesk(t *testing.T) {
	for name, test := range map[string]struct {
		create, plan    string
		printed, stays  []secret.Name
		helpDesk        secret.Name
		helpDeskCommand string
	}{
		"OpenPGP": {
			create: "--applications gp",
			plan: strings.NewReplacer("pins: {", "pins: {resetCode: {generate: 9 letters, keep: ledger}, ", "10 digits, keep: ledger", "10 digits, keep: both",
				"card-keys, keep: ledger", "card-keys, keep: letter").Replace(anyJava),
			printed: []secret.Name{secret.PIN}, stays: []secret.Name{secret.AdminPIN, secret.CardKeys, secret.ResetCode},
			helpDesk: secret.ResetCode, helpDeskCommand: "unblock-pin user -r sim:a --reset-code env:CODE --new-pin env:NEXT",
		},
		"PIV": {
			create:  "--applications piv --profile piv-yubikey-5.7",
			plan:    strings.ReplaceAll(strings.ReplaceAll(anyPIV, "keep: ledger", "keep: letter"), "puk: {generate: 8 digits, keep: letter", "puk: {generate: 8 digits, keep: both"),
			printed: []secret.Name{secret.PIN, secret.PUK}, stays: []secret.Name{secret.ManagementKey},
			helpDesk: secret.PUK, helpDeskCommand: "unblock-pin user -r sim:a --puk env:CODE --new-pin env:NEXT",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := newJavaRows(t, test.plan)
			d.rows("floppy,Floppy Head")
			d.line("sim create a " + test.create)
			d.provision(0, "-r sim:a")
			values := map[secret.Name]string{}
			for _, kind := range slices.Concat(test.printed, test.stays) {
				values[kind] = d.secretOf("a", kind)
			}
			if err := os.Mkdir(filepath.Join(d.state, "letters"), 0o700); err != nil {
				t.Fatal(err)
			}
			d.line("ledger letters --out $W/letters --identity $W/desk.key")
			files, err := filepath.Glob(filepath.Join(d.state, "letters", "*"))
			if err != nil || len(files) != 1 {
				t.Fatalf("%v, %v", files, err)
			}
			letter, err := os.ReadFile(files[0])
			if err != nil {
				t.Fatal(err)
			}
			for _, kind := range slices.Sorted(maps.Keys(values)) {
				if printed := slices.Contains(test.printed, kind); strings.Contains(string(letter), values[kind]) != printed {
					t.Errorf("the %s: printed is to be %v\n%s", kind.Words(), printed, letter)
				}
			}
			for _, kind := range test.stays {
				if d.secretOf("a", kind) != values[kind] {
					t.Errorf("the ledger lost the %s", kind.Words())
				}
			}
			shown := d.line("ledger reveal " + d.serial("a") + " --secret " + revealedName[test.helpDesk] + " --identity $W/desk.key").stdout
			if shown != values[test.helpDesk]+"\n" {
				t.Errorf("%q was shown", shown)
			}
			d.vars = append(d.vars, "CODE="+strings.TrimSpace(shown), "NEXT=86421357")
			d.line(test.helpDeskCommand)
		})
	}
}
