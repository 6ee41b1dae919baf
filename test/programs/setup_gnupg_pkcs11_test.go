//go:build stack

package programs

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

var tokenRSA = card{"SoftHSM RSA", onToken, onToken, "rsa2048", initialToken, stack.UserPIN, softHSM, false}

// mailOn is a card with an RSA key, or several, for signed and encrypted mail. The key for
// decryption is named too.
func mailOn(t *testing.T, c card) (d *stack.Desk, decryption string) {
	t.Helper()
	if c.name == openPGPRSA.name {
		return mail(t, c), "OPENPGP.2"
	}
	d = stack.NewDesk(t)
	c.initial(t, d)
	d.Run("cardctl", "gen-key", "--key", c.key, "--algorithm", c.algorithm)
	request := d.Run("cardctl", "gen-csr", "--key", c.key, "--subject", subject, "--email", "floppy@example.com", "--key-usage", "digitalSignature,keyEncipherment")
	d.Run("cardctl", "import-cert", "--key", c.key, d.Authority().Sign(d.Write("mail.csr", request, 0o600)))
	return d, c.key
}

// TestSetupGnuPGPKCS11 has gpgsm and gpg use keys that GnuPG's own card daemon does not
// use, and those of an OpenPGP card.
func TestSetupGnuPGPKCS11(t *testing.T) {
	for _, test := range []struct {
		card
		home string
	}{{openPGPRSA, ".gnupg"}, {isoApplet, "elsewhere"}, {tokenRSA, ".gnupg"}} {
		c := test.card
		t.Run(c.name, func(t *testing.T) {
			d, decryption := mailOn(t, c)
			g := newGnuPG(t, d, test.home)
			d.Write(test.home+"/gpg-agent.conf", "# mine\ndefault-cache-ttl 1", 0o600)
			d.Run("gpg", "--batch", "--list-keys")
			before := g.state(t)
			signer := names(t, d, c.key)[0]
			setup := []string{"setup", "gnupg-pkcs11-scd", "--key", c.key, "--ca", d.Path("ca.pem")}
			if r := g.sign("gpgsm", "--local-user", signer); r.Exit == 0 {
				t.Fatal("it works before it is set up")
			}
			if refused := d.Refused(append(setup, "--check")...); refused.Exit != 3 {
				t.Errorf("--check before: %+v", refused)
			}
			d.Run("cardctl", append(setup, "--print")...)
			g.same(t, "--print", before)

			d.Run("cardctl", setup...)
			if r := g.sign("gpgsm", "--local-user", signer); r.Exit != 0 {
				t.Errorf("gpgsm does not sign: %+v", r)
			}
			if got := g.decryptsMail(names(t, d, decryption)[0]); got != "a message\n" {
				t.Errorf("gpgsm decrypted %q", got)
			}
			if r := g.sign("gpg"); r.Exit != 0 || !strings.Contains(r.Stderr, "Floppy Head <floppy@example.com>") {
				t.Errorf("gpg does not sign: %+v", r)
			}
			g.decrypts(t)
			d.Run("cardctl", append(setup, "--check")...)
			d.Setenv("CARDCTL_PIN", "918273")
			if wrong := d.Refused(append(setup, "--check")...); wrong.Exit != 4 {
				t.Errorf("a wrong PIN: %+v", wrong)
			}
			d.Setenv("CARDCTL_PIN", c.pin)
			d.Run("cardctl", append(setup, "--check")...)
			d.Run("cardctl", setup...)
			d.Run("cardctl", "setup", "git", "--format", "x509", "--key", c.key)
			d.Run("cardctl", "setup", "git", "--format", "x509", "--key", c.key, "--check")
			d.Run("cardctl", "setup", "git", "--undo")
			if refused := d.Refused("setup", "gpgsm", "--key", c.key); refused.Exit != 7 || !strings.Contains(refused.Hint, "setup gnupg-pkcs11-scd --undo") {
				t.Errorf("GnuPG's own daemon: %+v", refused)
			}

			d.Run("cardctl", "setup", "gnupg-pkcs11-scd", "--undo", "--delete-adopted")
			g.same(t, "--undo", before)
			stack.Uses(t, "gpgsm, gnupg-pkcs11-scd", c.name, "")
			stack.Uses(t, "gpg, gnupg-pkcs11-scd", c.name, "")
			if r := g.sign("gpgsm", "--local-user", signer); r.Exit == 0 {
				t.Error("it still works after it was taken back")
			}
		})
	}
}

// TestKeysThatGnuPGPKCS11DoesNotUse are refused before anything is written.
func TestKeysThatGnuPGPKCS11DoesNotUse(t *testing.T) {
	for _, c := range []card{openPGP, piv, token} {
		t.Run(c.name, func(t *testing.T) {
			d := c.desk(t)
			g := newGnuPG(t, d, ".gnupg")
			before := g.state(t)
			refused := d.Refused("setup", "gnupg-pkcs11-scd", "--key", c.key)
			if refused.Exit != 7 || !strings.Contains(refused.Hint, "--algorithm rsa2048") {
				t.Errorf("%+v", refused)
			}
			g.same(t, "a refusal", before)
			stack.Uses(t, "gpgsm, gnupg-pkcs11-scd", c.name, "no")
			stack.Uses(t, "gpg, gnupg-pkcs11-scd", c.name, "no")
		})
	}
}

// TestGnuPGPKCS11AmongOthers: another token gets no PIN, and what others wrote stays.
func TestGnuPGPKCS11AmongOthers(t *testing.T) {
	d := mail(t, openPGPRSA)
	g := newGnuPG(t, d, ".gnupg")
	d.Run("cardctl", "setup", "gpgsm", "--key", "OPENPGP.1", "--ca", d.Path("ca.pem"))
	d.Run("cardctl", "setup", "gpg", "--key", "OPENPGP.1")
	d.Write(".gnupg/gpg-agent.conf", "scdaemon-program /usr/lib/gnupg/scdaemon\n", 0o600)
	d.Write(".gnupg/gnupg-pkcs11-scd.conf", "providers p1\nprovider-p1-library /nonexistent.so\n", 0o600)
	before := g.state(t)
	setup := []string{"setup", "gnupg-pkcs11-scd", "--key", "OPENPGP.1"}
	if refused := d.Refused(append(setup, "--no-input")...); refused.Exit != 9 {
		t.Errorf("what others wrote: %+v", refused)
	}
	g.same(t, "a refusal", before)
	d.Run("cardctl", append(setup, "--yes")...)
	d.Run("cardctl", append(setup, "--check")...)
	d.Run("cardctl", "setup", "gnupg-pkcs11-scd", "--undo", "--delete-adopted")
	g.same(t, "--undo", before)
	d.Write(".gnupg/gpg-agent.conf", "", 0o600)
	for _, target := range []string{"gpgsm", "gpg"} {
		d.Run("cardctl", "setup", target, "--key", "OPENPGP.1", "--check")
	}
}

// decryptsMail has gpgsm encrypt to a certificate, and decrypt.
func (g gnupg) decryptsMail(name string) string {
	defer g.end()
	encrypted := g.d.Path("encrypted")
	_ = os.Remove(encrypted)
	g.d.Write("message", "a message\n", 0o600)
	g.d.Run("gpgsm", "--batch", "--disable-dirmngr", "--recipient", name, "--output", encrypted, "--encrypt", g.d.Path("message"))
	return g.d.RunInput(stack.UserPIN, "gpgsm", "--batch", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--decrypt", encrypted)
}

// TestGnuPGPKCS11WithTwoCards sends the PIN to the card that has the key, and to no other.
func TestGnuPGPKCS11WithTwoCards(t *testing.T) {
	for _, at := range []int{0, 1} {
		t.Run(stack.ReaderName(at), func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card("mine", at)
			d.Card("other", 1-at)
			d.Setenv("CARDCTL_READER", stack.ReaderName(1-at))
			d.Setenv("CARDCTL_PIN", "918273")
			d.Run("cardctl", "init", "--yes")
			issue(t, d, "OPENPGP.3", "rsa2048")
			d.Setenv("CARDCTL_READER", stack.ReaderName(at))
			d.Setenv("CARDCTL_PIN", stack.UserPIN)
			d.Run("cardctl", "init", "--yes")
			issue(t, d, "OPENPGP.3", "rsa2048")
			g := newGnuPG(t, d, ".gnupg")
			setup := []string{"setup", "gnupg-pkcs11-scd", "--key", "OPENPGP.3", "--ca", d.Path("ca.pem")}
			d.Run("cardctl", setup...)
			if stubs, _ := filepath.Glob(d.Path(".gnupg/private-keys-v1.d/*")); len(stubs) != 1 {
				t.Errorf("keys of the other card: %q", stubs)
			}
			d.Run("cardctl", append(setup, "--check")...)
			if r := g.sign("gpg"); r.Exit != 0 {
				t.Errorf("%+v", r)
			}
			d.Setenv("CARDCTL_READER", stack.ReaderName(1-at))
			if left := triesLeft(t, d); left != 3 {
				t.Errorf("the other card has %d tries left", left)
			}
		})
	}
}

// TestGnuPGPKCS11AfterOthers signs after another program used the card. A wrong PIN that
// nobody types is sent three times: where it is not, documents and the note have to say so.
func TestGnuPGPKCS11AfterOthers(t *testing.T) {
	d := mail(t, openPGPRSA)
	g := newGnuPG(t, d, ".gnupg")
	d.Run("cardctl", "setup", "gnupg-pkcs11-scd", "--key", "OPENPGP.3", "--ca", d.Path("ca.pem"))
	sign := []string{"--batch", "--yes", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--output", d.Path("m.sig"), "--detach-sign", d.Write("m", "a message\n", 0o600)}
	for range 3 {
		d.RunInput(stack.UserPIN, "gpg", sign...)
		d.Run("cardctl", "smoke-test", "--key", "OPENPGP.3")
	}
	g.end()
	if r := d.TryInput("918273", "gpg", sign...); r.Exit == 0 || triesLeft(t, d) != 0 {
		t.Errorf("a wrong PIN: %+v, then %d tries left", r, triesLeft(t, d))
	}
}
