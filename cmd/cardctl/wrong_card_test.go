//go:build unix

package main

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/runner"
)

// TestKeyOfAnotherKindOfCard names a key of one family on a card of another in a
// reader: the error says what the card is, and no program of OpenSC is asked.
func TestKeyOfAnotherKindOfCard(t *testing.T) {
	for application, test := range map[string]struct{ key, says, keys string }{
		"openpgp": {"PKCS15.45", "the card is not a PKCS#15 card, but an OpenPGP card", "OPENPGP.3"},
		"pkcs15":  {"OPENPGP.3", "the card is not an OpenPGP card, but a PKCS#15 card (IsoApplet)", "PKCS15.45"},
		"myeid":   {"OPENPGP.3", "the card is not an OpenPGP card, but a PKCS#15 card", "PKCS15.45"},
	} {
		t.Run(application, func(t *testing.T) {
			d := newSwapDesk(t)
			kindOfCard{options: cardsim.Options{Applications: []string{application}}}.card(t, "", nil, d)
			d.programs.Before = func(p runner.Program) { t.Errorf("%s runs", p.Name) }
			for _, command := range []string{"gen-key", "gen-csr --subject CN=a", "export-key", "export-cert", "delete-cert --yes", "delete-key --yes --fingerprint 00", "smoke-test"} {
				r := d.run(t.Context(), append(strings.Fields(command), "--key", test.key))
				said, ok := complained(r.stderr)
				if r.exit != 7 || !ok || !strings.Contains(r.stderr, test.says) || !strings.Contains(r.stderr, "Its keys: ") ||
					!strings.Contains(r.stderr, test.keys) || said.try != "cardctl info" {
					t.Errorf("%s: exit status %d\n%s", command, r.exit, r.stderr)
				}
			}
		})
	}
}
