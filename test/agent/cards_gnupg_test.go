//go:build stack

package agent_test

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// TestCardsThroughGnuPG has gpg adopt the keys of an OpenPGP card in pcscd's reader, sign and
// decrypt with them, and gpg-agent lend them to ssh.
func TestCardsThroughGnuPG(t *testing.T) {
	for _, algorithms := range [][3]string{
		{"rsa2048", "rsa2048", "rsa2048"},
		{"p256", "p256", "p256"},
		{"ed25519", "x25519", "ed25519"},
	} {
		t.Run(algorithms[0], func(t *testing.T) {
			c := keysOn{name: "OpenPGP " + algorithms[0], create: openPGPRSA.create}
			for i, algorithm := range algorithms {
				c.keys = append(c.keys, keyOn{ref: openPGPRSA.keys[i].ref, algorithm: algorithm})
			}
			d, _ := newCardDesk(t, c)
			d.gnuPG(t)
			const who = "alice@example.org"
			adoptWith(d.Desk, who)
			signedAndVerified(d.Desk, who)
			encryptedAndDecrypted(t, d.Desk, who)
			loggedIn(t, d.Desk, 1)
			d.once(t)
			stack.Judged(t, "gpg", "the agent with "+c.name, "signs and decrypts")
		})
	}
}

// TestGnuPGShowsWhatACardSays has gpg show what the card says of its owner and of its signatures.
func TestGnuPGShowsWhatACardSays(t *testing.T) {
	d, _ := newCardDesk(t, openPGPEC)
	d.gnuPG(t)
	d.Run("cardctl", "set-holder", "--name", "van Head<<Floppy", "--login", "floppy", "--url", "https://example.com/a%20b", "--language", "de,en", "--sex", "female")
	const who = "alice@example.org"
	adoptWith(d.Desk, who)
	signedAndVerified(d.Desk, who)
	shown := d.Run("gpg", "--batch", "--with-colons", "--card-status")
	for _, want := range []string{"name:Floppy:van Head:", "login:floppy:", `url:https\x3a//example.com/a%20b:`, "lang:deen:", "sex:f:"} {
		if !strings.Contains(shown, want+"\n") {
			t.Errorf("gpg does not show %s:\n%s", want, shown)
		}
	}
	if strings.Contains(shown, "sigcount:0:") {
		t.Errorf("gpg shows no signature:\n%s", shown)
	}
	stack.Judged(t, "gpg", "the agent with "+openPGPEC.name, "shows what the card says")
}
