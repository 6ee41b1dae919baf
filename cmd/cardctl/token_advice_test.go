//go:build cgo && unix

package main

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/p11"
)

// TestTokensThatAreNotThere looks for tokens and keys that a module does not show as
// they are asked for, and checks what is offered.
func TestTokensThatAreNotThere(t *testing.T) {
	module, err := p11.DefaultPlaces().Locate("softhsm2")
	if err != nil {
		t.Fatal(err)
	}
	d := newTokenDesk(t)
	d.token("ours")
	const ref = "pkcs11:token=ours;object=k"
	d.must("cardctl", "gen-key", "--key", ref, "--algorithm", "p256", "--pin", "env:TOKEN_PIN")
	tool := []string{"--module", module, "--token-label", "ours", "--login", "--pin", tokenPIN}
	d.must("pkcs11-tool", append(tool, "--delete-object", "--type", "pubkey", "--label", "k")...)
	for line, want := range map[string]struct {
		exit      int
		says, try string
	}{
		"list-tokens --module opensc":                        {3, "no token", "cardctl doctor"},
		"list-tokens --serial FFFF":                          {3, "no token", "cardctl list-tokens"},
		"smoke-test --module opensc --key pkcs11:token=ours": {3, "shows no token at all", "cardctl doctor"},
		"export-key --key " + ref + " --pin env:TOKEN_PIN":   {3, "does not report the public key", "pkcs11-tool --module " + module + " --login --write-object"},
	} {
		t.Run(line, func(t *testing.T) {
			r := d.run("cardctl", strings.Fields(line)...)
			said, ok := complained(r.stderr)
			if r.exit != want.exit || !ok || !strings.Contains(r.stderr, want.says) || !strings.HasPrefix(said.try, want.try) {
				t.Errorf("exit status %d\n%s%s", r.exit, r.stdout, r.stderr)
			}
			if _, err := offered(strings.Fields(line), said.try); err != nil {
				t.Errorf("Try: %s: %v", said.try, err)
			}
		})
	}
}
