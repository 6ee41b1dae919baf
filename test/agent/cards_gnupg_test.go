//go:build stack

package agent_test

import (
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
