//go:build stack

package judges

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// oneSalt has all PINs share a salt.
const oneSalt = "kdf-setup single"

// TestAKDFThatGnuPGSetUp: GnuPG's kdf-setup makes the PINs of the card hashes (OpenPGP
// card 3.4.1, 4.3.2). cardctl uses both of them then, and GnuPG those that cardctl sets.
func TestAKDFThatGnuPGSetUp(t *testing.T) {
	for _, way := range []string{"kdf-setup", oneSalt} {
		t.Run(way, func(t *testing.T) { kdfOfGnuPG(t, way) })
	}
}

func kdfOfGnuPG(t *testing.T, way string) {
	d := stack.NewDesk(t)
	card := d.Card("kdf", 0)
	const user, admin, code = "123456", "12345678", "11223344"
	for name, value := range map[string]string{"FACTORY": user, "FACTORY_ADMIN": admin, "CODE": code, "OTHER": "135791"} {
		d.Setenv(name, value)
	}
	g := d.GnuPG(0, user, admin)
	setUp := d.TryInput("admin\n"+way+"\nquit\n", "gpg", "--command-fd", "0", "--no-tty", "--card-edit")
	on := g.CardStatus()["kdf"]
	switch derived := len(on) > 0 && on[0] != "off"; {
	case setUp.Exit == 0 && derived:
	case way == oneSalt && setUp.Exit != 0 && !derived: // the scdaemon of GnuPG 2.4 sends three salts only
	default:
		t.Fatalf("GnuPG set up %q: %s", on, setUp)
	}
	g.Release()

	d.Run("cardctl", "set-pin", "user", "--pin", "env:FACTORY", "--new-pin", "env:CARDCTL_PIN")
	d.Run("cardctl", "set-pin", "admin", "--admin-pin", "env:FACTORY_ADMIN", "--new-pin", "env:CARDCTL_ADMIN_PIN")
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.1")
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.3")
	d.Run("cardctl", "gen-csr", "--key", "OPENPGP.1", "--subject", "CN=Floppy Head", "--out", "one.csr")
	d.Run("openssl", "req", "-in", "one.csr", "-noout", "-verify")
	d.Run("cardctl", "set-pin", "reset-code", "--new-pin", "env:CODE")
	d.Run("cardctl", "unblock-pin", "user", "--reset-code", "env:CODE", "--new-pin", "env:OTHER")
	d.Run("cardctl", "unblock-pin", "user", "--admin-pin", "env:CARDCTL_ADMIN_PIN", "--new-pin", "env:CARDCTL_PIN")
	if wrong := d.Try("cardctl", "gen-csr", "--key", "OPENPGP.1", "--subject", "CN=x", "--pin", "env:OTHER"); wrong.Exit != 4 || !strings.Contains(wrong.Stderr, "2 tries left") {
		t.Errorf("a wrong PIN: %s", wrong)
	}
	g = d.GnuPG(0, stack.UserPIN, stack.AdminPIN)
	g.SCD("CHECKPIN " + idOf(g))
	g.SCD("CHECKPIN " + idOf(g) + "[CHV3]")
	g.Release()
	d.Run("cardctl", "init", "--yes", "--current-admin-pin", "env:CARDCTL_ADMIN_PIN")
	card.Pull()
}

// idOf is what scdaemon calls the card.
func idOf(g *stack.GnuPG) string {
	_, status := g.SCD("SERIALNO")
	for _, line := range status {
		if rest, ok := strings.CutPrefix(line, "SERIALNO "); ok {
			return strings.Fields(rest)[0]
		}
	}
	return ""
}
