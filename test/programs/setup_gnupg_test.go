//go:build stack

package programs

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// gnupg is the directory of GnuPG of somebody who uses it.
type gnupg struct {
	d    *stack.Desk
	home string
	pin  string // that is typed
}

// newGnuPG makes the directory with a certificate of somebody else, whom the person
// trusts, and ends the daemons of the test.
func newGnuPG(t *testing.T, d *stack.Desk, name string) gnupg {
	t.Helper()
	g := gnupg{d, d.Path(name), stack.UserPIN}
	if name != ".gnupg" {
		d.Setenv("GNUPGHOME", g.home)
	}
	t.Cleanup(g.end)
	if err := os.Mkdir(g.home, 0o700); err != nil {
		t.Fatal(err)
	}
	d.Run("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "other.key", "-out", "other.pem", "-subj", "/CN=Other CA")
	d.Run("gpgsm", "--batch", "--disable-dirmngr", "--import", d.Path("other.pem"))
	d.Write(name+"/trustlist.txt", "# mine\n0123456789012345678901234567890123456789 S", 0o600)
	d.Write(name+"/scdaemon.conf", "log-file /dev/null\n", 0o600)
	g.end()
	return g
}

// end ends the daemons, and returns when they have: the next program would find an agent
// that is about to end.
func (g gnupg) end() {
	g.d.Run("gpgconf", "--kill", "all")
	g.d.Eventually("the agent has ended", func() bool {
		_, err := os.Stat(filepath.Join(g.home, "S.gpg-agent"))
		return err != nil && g.d.Try("pgrep", "-f", "gpg-agent --homedir "+g.home).Exit != 0
	})
}

// state is what cardctl may have to do with: configuration, stubs, certificates, keys.
func (g gnupg) state(t *testing.T) map[string]string {
	t.Helper()
	all := map[string]string{
		"certificates": g.d.Run("gpgsm", "--batch", "--with-colons", "--list-keys"),
		"OpenPGP keys": g.d.Run("gpg", "--batch", "--list-keys"),
	}
	for _, pattern := range []string{"*.conf", "*.txt", "private-keys-v1.d/*"} {
		paths, err := filepath.Glob(filepath.Join(g.home, pattern))
		for _, path := range paths {
			var content []byte
			if content, err = os.ReadFile(path); err != nil {
				break
			}
			all[path] = string(content)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	g.end()
	return all
}

// before24 says that GnuPG is older than 2.4, which looks for a key on the cards in all
// readers, and knows PIV cards. It reaches the PC/SC daemon only if it is told to.
func before24(d *stack.Desk) bool {
	return strings.Contains(d.Run("gpg", "--version"), "(GnuPG) 2.2")
}

func (g gnupg) same(t *testing.T, when string, before map[string]string) {
	t.Helper()
	if after := g.state(t); !maps.Equal(before, after) {
		t.Errorf("%s: %q, before %q", when, after, before)
	}
}

// sign has gpg or gpgsm sign and verify, as somebody who types the PIN.
func (g gnupg) sign(program string, args ...string) stack.Result {
	defer g.end()
	signature := g.d.Path("message.sig")
	_ = os.Remove(signature)
	g.d.Write("message", "a message\n", 0o600)
	args = append([]string{"--batch", "--pinentry-mode", "loopback", "--passphrase-fd", "0"}, args...)
	if r := g.d.TryInput(g.pin, program, append(args, "--output", signature, "--detach-sign", g.d.Path("message"))...); r.Exit != 0 {
		return r
	}
	return g.d.Try(program, "--batch", "--verify", signature, g.d.Path("message"))
}

// mail is a card with three keys, the third older and the second newer than the
// first. Their certificates are for mail.
func mail(t *testing.T, c card) *stack.Desk {
	t.Helper()
	d := stack.NewDesk(t)
	c.initial(t, d)
	for _, key := range []string{"OPENPGP.3", "OPENPGP.1"} {
		d.Run("cardctl", "gen-key", "--key", key, "--algorithm", c.algorithm)
		request := d.Run("cardctl", "gen-csr", "--key", key, "--subject", subject, "--email", "floppy@example.com", "--key-usage", "digitalSignature")
		d.Run("cardctl", "import-cert", "--key", key, d.Authority().Sign(d.Write(key+".csr", request, 0o600)))
		time.Sleep(1100 * time.Millisecond)
	}
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.2", "--algorithm", c.algorithm)
	public := d.Write("public.pem", d.Run("cardctl", "export-key", "--key", "OPENPGP.2"), 0o600)
	d.Authority().Certify(public, "/CN=Floppy Head", d.Path("decrypt.pem"))
	d.Run("cardctl", "import-cert", "--key", "OPENPGP.2", d.Path("decrypt.pem"))
	return d
}

// names are what gpgsm calls the certificates on the card.
func names(t *testing.T, d *stack.Desk, keys ...string) []string {
	t.Helper()
	var all []string
	for _, key := range keys {
		line := d.RunInput(d.Run("cardctl", "export-cert", "--key", key), "openssl", "x509", "-noout", "-fingerprint", "-sha1")
		_, name, _ := strings.Cut(strings.TrimSpace(line), "=")
		all = append(all, strings.ReplaceAll(name, ":", ""))
	}
	return all
}

func TestSetupGpgsm(t *testing.T) {
	for _, test := range []struct {
		card
		home string
	}{{openPGP, ".gnupg"}, {openPGPRSA, "elsewhere"}} {
		c := test.card
		t.Run(c.name, func(t *testing.T) {
			d := mail(t, c)
			g := newGnuPG(t, d, test.home)
			before := g.state(t)
			signers := names(t, d, "OPENPGP.1", "OPENPGP.3")
			setup := []string{"setup", "gpgsm", "--key", c.key, "--ca", d.Path("ca.pem")}
			if r := g.sign("gpgsm", "--local-user", signers[1]); r.Exit == 0 {
				t.Fatal("it works before it is set up")
			}
			if refused := d.Refused(append(setup, "--check")...); refused.Exit != 3 {
				t.Errorf("--check before: %+v", refused)
			}
			d.Run("cardctl", append(setup, "--print")...)
			g.same(t, "--print", before)

			d.Run("cardctl", setup...)
			for _, name := range signers {
				if r := g.sign("gpgsm", "--local-user", name); r.Exit != 0 {
					t.Errorf("it does not work after it was set up: %+v", r)
				}
			}
			d.Run("cardctl", append(setup, "--check")...)
			d.Setenv("CARDCTL_PIN", "918273")
			if wrong := d.Refused(append(setup, "--check")...); wrong.Exit != 4 || triesLeft(t, d) != 2 {
				t.Errorf("a wrong PIN: %+v, then %d tries left", wrong, triesLeft(t, d))
			}
			d.Setenv("CARDCTL_PIN", c.pin)
			d.Run("cardctl", append(setup, "--check")...)
			d.Run("cardctl", setup...)

			d.Run("cardctl", "setup", "gpgsm", "--undo")
			g.same(t, "--undo", before)
			stack.Uses(t, "gpgsm", c.name, "")
			if r := g.sign("gpgsm", "--local-user", signers[1]); r.Exit == 0 {
				t.Error("it still works after it was taken back")
			}
		})
	}
}

// TestSetupGpg adopts keys that were generated at different times.
func TestSetupGpg(t *testing.T) {
	for _, test := range []struct {
		card
		home string
	}{{openPGP, "elsewhere"}, {openPGPRSA, ".gnupg"}} {
		c := test.card
		t.Run(c.name, func(t *testing.T) {
			d := mail(t, c)
			g := newGnuPG(t, d, test.home)
			if r := g.sign("gpg"); r.Exit == 0 { // and learns where the keys are
				t.Fatal("it works before it is set up")
			}
			before := g.state(t)
			setup := []string{"setup", "gpg", "--key", "OPENPGP.1"}
			if refused := d.Refused(append(setup, "--check")...); refused.Exit != 3 {
				t.Errorf("--check before: %+v", refused)
			}
			d.Run("cardctl", append(setup, "--print")...)
			g.same(t, "--print", before)
			d.Setenv("CARDCTL_PIN", "918273")
			if wrong := d.Refused(setup...); wrong.Exit != 4 || triesLeft(t, d) != 2 {
				t.Errorf("a wrong PIN: %+v, then %d tries left", wrong, triesLeft(t, d))
			}
			d.Setenv("CARDCTL_PIN", c.pin)

			d.Run("cardctl", setup...)
			if r := g.sign("gpg"); r.Exit != 0 || !strings.Contains(r.Stderr, "Floppy Head <floppy@example.com>") {
				t.Errorf("it does not work after it was set up: %+v", r)
			}
			g.decrypts(t)
			listed := d.Run("gpg", "--batch", "--with-colons", "--with-subkey-fingerprint", "--list-secret-keys")
			for _, key := range d.Info().Keys {
				if !strings.Contains(listed, ":"+key.Fingerprint+":") {
					t.Errorf("%s has the fingerprint %s, gpg lists %s", key.Ref, key.Fingerprint, listed)
				}
			}
			g.end()
			d.Run("cardctl", append(setup, "--check")...)
			d.Setenv("CARDCTL_PIN", "918273")
			if wrong := d.Refused(append(setup, "--check")...); wrong.Exit != 4 || triesLeft(t, d) != 2 {
				t.Errorf("a wrong PIN: %+v, then %d tries left", wrong, triesLeft(t, d))
			}
			d.Setenv("CARDCTL_PIN", c.pin)
			stack.Uses(t, "gpg", c.name, "")
			if test.home == ".gnupg" {
				d.Run("cardctl", "setup", "gpg", "--undo")
				if settings := string(d.Read(".gnupg/scdaemon.conf")); settings != before[d.Path(".gnupg/scdaemon.conf")] {
					t.Errorf("after --undo: %s", settings)
				}
				if !before24(d) {
					d.Write(".gnupg/scdaemon.conf", "disable-ccid\n", 0o600)
				}
				if r := g.sign("gpg"); r.Exit != 0 {
					t.Errorf("the adopted key does not work after --undo: %+v", r)
				}
				return
			}
			d.Run("gpg", "--batch", "--list-secret-keys") // with an agent that runs
			d.Run("cardctl", "setup", "gpg", "--undo", "--delete-adopted")
			g.same(t, "--undo", before)
			if r := g.sign("gpg"); r.Exit == 0 {
				t.Error("it still works after it was taken back")
			}
		})
	}
}

// decrypts has gpg encrypt to the adopted key, and decrypt.
func (g gnupg) decrypts(t *testing.T) {
	t.Helper()
	defer g.end()
	g.d.Run("gpg", "--batch", "--recipient", "floppy@example.com", "--output", g.d.Path("secret.gpg"), "--encrypt", g.d.Path("message"))
	got := g.d.RunInput(stack.UserPIN, "gpg", "--batch", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--decrypt", g.d.Path("secret.gpg"))
	if got != "a message\n" {
		t.Errorf("decrypted %q", got)
	}
}

// TestCardsWithoutAnOpenPGPKey are refused before anything is written.
func TestCardsWithoutAnOpenPGPKey(t *testing.T) {
	d := openPGP.desk(t) // the key for authentication alone
	g := newGnuPG(t, d, ".gnupg")
	before := g.state(t)
	if refused := d.Refused("setup", "gpg", "--key", "OPENPGP.3"); refused.Exit != 3 || !strings.Contains(refused.Hint, "gen-key") {
		t.Errorf("no key for signatures: %+v", refused)
	}
	d.Run("cardctl", "delete-cert", "--key", "OPENPGP.3", "--yes")
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.1", "--algorithm", "p256")
	if refused := d.Refused("setup", "gpg", "--key", "OPENPGP.1"); refused.Exit != 3 || !strings.Contains(refused.Hint, "import-cert") {
		t.Errorf("nobody's card: %+v", refused)
	}
	g.same(t, "a refusal", before)
	d.Run("cardctl", "set-holder", "--name", "Floppy Head")
	d.Run("cardctl", "setup", "gpg", "--key", "OPENPGP.1")
	if listed := d.Run("gpg", "--batch", "--with-colons", "--list-keys"); !strings.Contains(listed, ":Floppy Head:") {
		t.Errorf("the key is not that of the card holder: %s", listed)
	}
}

// TestGpgsmDecrypts with the key that the card learned nothing about before.
func TestGpgsmDecrypts(t *testing.T) {
	d := mail(t, openPGPRSA)
	g := newGnuPG(t, d, ".gnupg")
	d.Run("cardctl", "setup", "gpgsm", "--key", "OPENPGP.3", "--ca", d.Path("ca.pem"))
	d.Write("message", "a message\n", 0o600)
	d.Run("gpgsm", "--batch", "--disable-dirmngr", "--recipient", names(t, d, "OPENPGP.2")[0], "--output", d.Path("encrypted"), "--encrypt", d.Path("message"))
	g.end()
	if got := d.RunInput(stack.UserPIN, "gpgsm", "--batch", "--pinentry-mode", "loopback", "--passphrase-fd", "0", "--decrypt", d.Path("encrypted")); got != "a message\n" {
		t.Errorf("decrypted %q", got)
	}
}

// TestGpgsmWithoutTheCA names it in the check.
func TestGpgsmWithoutTheCA(t *testing.T) {
	d := mail(t, openPGP)
	newGnuPG(t, d, ".gnupg")
	setup := []string{"setup", "gpgsm", "--key", "OPENPGP.1"}
	d.Run("cardctl", setup...)
	if refused := d.Refused(append(setup, "--check")...); refused.Exit != 1 || !strings.Contains(refused.Hint, "--ca") {
		t.Errorf("%+v", refused)
	}
}

// TestGpgsmWithTwoReaders uses the card that is meant.
func TestGpgsmWithTwoReaders(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("other", 0)
	d.Card("mine", 1).Initialise()
	newGnuPG(t, d, ".gnupg")
	d.Setenv("CARDCTL_READER", stack.ReaderName(1))
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.1", "--algorithm", "p256")
	d.Run("cardctl", "gen-csr", "--key", "OPENPGP.1", "--subject", subject, "--self-signed", "--days", "7", "--out", d.Path("self.pem"))
	d.Run("cardctl", "import-cert", "--key", "OPENPGP.1", d.Path("self.pem"))
	setup := []string{"setup", "gpgsm", "--key", "OPENPGP.1", "--ca", d.Path("self.pem")}
	d.Run("cardctl", setup...)
	d.Run("cardctl", append(setup, "--check")...)
	if settings := string(d.Read(".gnupg/scdaemon.conf")); before24(d) && !strings.Contains(settings, "reader-port "+stack.ReaderName(1)) {
		t.Errorf("written: %s", settings)
	}
}

// TestKeysThatGnuPGDoesNotKnow are refused before anything is written.
func TestKeysThatGnuPGDoesNotKnow(t *testing.T) {
	for _, c := range []card{piv, isoApplet, token} {
		t.Run(c.name, func(t *testing.T) {
			d := c.desk(t)
			g := newGnuPG(t, d, ".gnupg")
			before := g.state(t)
			setup := []string{"setup", "gpgsm", "--key", c.key, "--ca", d.Path("ca.pem")}
			gpgsm := "no"
			if c.name == piv.name && !before24(d) {
				gpgsm = ""
				d.Run("cardctl", setup...)
				d.Run("cardctl", append(setup, "--check")...)
				g.pin = c.pin
				if r := g.sign("gpgsm", "--local-user", names(t, d, c.key)[0]); r.Exit != 0 {
					t.Errorf("it does not work after it was set up: %+v", r)
				}
				d.Run("cardctl", "setup", "gpgsm", "--undo")
			} else if refused := d.Refused(setup...); refused.Exit != 7 {
				t.Errorf("gpgsm: %+v", refused)
			}
			if refused := d.Refused("setup", "gpg", "--key", c.key); refused.Exit != 7 {
				t.Errorf("gpg: %+v", refused)
			}
			g.same(t, "a refusal", before)
			stack.Uses(t, "gpgsm", c.name, gpgsm)
			stack.Uses(t, "gpg", c.name, "no")
		})
	}
}

// TestGnuPGHoldsTheCard reports it, and leaves the daemons of the person alone.
func TestGnuPGHoldsTheCard(t *testing.T) {
	d := mail(t, openPGP)
	g := newGnuPG(t, d, ".gnupg")
	d.Write(".gnupg/scdaemon.conf", "disable-ccid\n", 0o600)
	d.Run("gpg-connect-agent", "SCD SERIALNO", "/bye")
	if refused := d.Refused("setup", "gpgsm", "--key", "OPENPGP.1"); refused.Exit != 6 {
		t.Errorf("%+v", refused)
	}
	if answer := d.Run("gpg-connect-agent", "--no-autostart", "GETINFO pid", "/bye"); !strings.Contains(answer, "OK") {
		t.Errorf("the agent of the person has ended: %s", answer)
	}
	g.end()
	d.Run("cardctl", "setup", "gpgsm", "--key", "OPENPGP.1", "--ca", d.Path("ca.pem"))
	d.Run("gpg-connect-agent", "SCD SERIALNO", "/bye")
	d.Run("cardctl", "setup", "gpgsm", "--key", "OPENPGP.1", "--ca", d.Path("ca.pem"), "--check")
}

// TestSetupGitByGpgsm has git sign and verify a commit.
func TestSetupGitByGpgsm(t *testing.T) {
	for _, c := range []card{openPGP, openPGPRSA} {
		t.Run(c.name, func(t *testing.T) {
			d := mail(t, c)
			g := newGnuPG(t, d, ".gnupg")
			const theirs = "[user]\n\tname = Floppy\n\temail = floppy@example.com\n"
			d.Write(".gitconfig", theirs, 0o600)
			d.Write(".gnupg/pinentry", "#!/bin/sh\necho OK\nwhile read -r verb rest; do case $verb in GETPIN) echo 'D "+stack.UserPIN+"' ;; esac; echo OK; done\n", 0o700)
			d.Write(".gnupg/gpg-agent.conf", "pinentry-program "+d.Path(".gnupg/pinentry")+"\n", 0o600)
			setup := []string{"setup", "git", "--format", "x509", "--key", "OPENPGP.1"}
			if refused := d.Refused(setup...); refused.Exit != 3 || !strings.Contains(refused.Hint, "setup gpgsm") {
				t.Errorf("without gpgsm: %+v", refused)
			}
			d.Run("cardctl", "setup", "gpgsm", "--key", "OPENPGP.1", "--ca", d.Path("ca.pem"))
			if r := g.commit("before"); r.Exit == 0 {
				t.Fatal("it works before it is set up")
			}
			if refused := d.Refused(append(setup, "--check")...); refused.Exit != 3 {
				t.Errorf("--check before: %+v", refused)
			}
			d.Run("cardctl", append(setup, "--print")...)
			d.Run("cardctl", setup...)
			if r := g.commit("after"); r.Exit != 0 {
				t.Errorf("it does not work after it was set up: %+v", r)
			}
			d.Run("cardctl", append(setup, "--check")...)
			d.Setenv("CARDCTL_PIN", "918273")
			if wrong := d.Refused(append(setup, "--check")...); wrong.Exit != 4 || triesLeft(t, d) != 2 {
				t.Errorf("a wrong PIN: %+v, then %d tries left", wrong, triesLeft(t, d))
			}
			d.Setenv("CARDCTL_PIN", c.pin)
			stack.Uses(t, "git (x509)", c.name, "")
			d.Run("cardctl", "setup", "git", "--undo")
			if now := string(d.Read(".gitconfig")); now != theirs {
				t.Errorf("after --undo: %s", now)
			}
			if r := g.commit("undone"); r.Exit == 0 {
				t.Error("it still works after it was taken back")
			}
		})
	}
}

// commit signs a commit in a new repository, which git verifies.
func (g gnupg) commit(repository string) stack.Result {
	defer g.end()
	g.d.Run("git", "init", "--quiet", repository)
	if r := g.d.Try("git", "-C", repository, "commit", "--quiet", "--allow-empty", "-S", "-m", "signed"); r.Exit != 0 {
		return r
	}
	return g.d.Try("git", "-C", repository, "verify-commit", "HEAD")
}
