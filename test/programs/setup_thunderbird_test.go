//go:build stack

package programs

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// mailKey is a key of a card, with a certificate for mail.
type mailKey struct {
	card
	usage string
	seen  string // by the check
}

func (m mailKey) desk(t *testing.T) *stack.Desk {
	t.Helper()
	d := stack.NewDesk(t)
	m.initial(t, d)
	d.Run("cardctl", "gen-key", "--key", m.key, "--algorithm", m.algorithm)
	public := d.Write("public.pem", d.Run("cardctl", "export-key", "--key", m.key), 0o600)
	extensions := d.Write("extensions", "subjectAltName=email:floppy@example.com\nextendedKeyUsage=emailProtection\nkeyUsage="+m.usage+"\n", 0o600)
	d.Authority()
	d.Run("openssl", "x509", "-new", "-force_pubkey", public, "-subj", "/"+subject, "-out", d.Path("mail.pem"), "-days", "7",
		"-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", extensions)
	d.Run("cardctl", "import-cert", "--key", m.key, d.Path("mail.pem"))
	return d
}

func keyOf(c card, key, usage, seen string) mailKey {
	c.name, c.key, c.tls12 = c.name+" "+key, key, false
	return mailKey{c, usage, seen}
}

// TestSetupThunderbird signs with keys for signatures, and finds the others.
func TestSetupThunderbird(t *testing.T) {
	const signs, finds = "signs a message with the key", "finds the key"
	for _, m := range []mailKey{
		keyOf(openPGP, "OPENPGP.1", "digitalSignature", signs),
		keyOf(openPGPRSA, "OPENPGP.1", "digitalSignature", signs),
		keyOf(openPGPRSA, "OPENPGP.2", "keyEncipherment", finds),
		keyOf(openPGP, "OPENPGP.3", "digitalSignature", signs),
		keyOf(piv, piv.key, "digitalSignature", signs),
		keyOf(isoApplet, isoApplet.key, "digitalSignature", signs),
		keyOf(token, token.key, "digitalSignature", signs),
	} {
		t.Run(m.name, func(t *testing.T) {
			d := m.desk(t)
			personOf(d, ".thunderbird")
			before := listed(d)
			if refused := d.Refused(append(m.setup("thunderbird"), "--check")...); refused.Exit != 3 {
				t.Errorf("--check before: %+v", refused)
			}
			setup(d, m.card, "thunderbird", "--ca", d.Path("ca.pem"))
			if saw := setup(d, m.card, "thunderbird", "--ca", d.Path("ca.pem"), "--check"); !strings.Contains(strings.Join(strings.Fields(saw), " "), m.seen) {
				t.Errorf("the check saw: %s", saw)
			}
			if m.initial != nil && strings.HasPrefix(m.key, "OPENPGP.") {
				if left := triesLeft(t, d); left != 3 {
					t.Errorf("%d tries left", left)
				}
			}
			d.Run("cardctl", "setup", "thunderbird", "--undo")
			if after := listed(d); after != before {
				t.Errorf("after --undo:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

// TestSetupThunderbirdForAll has Thunderbird itself read the policies.
func TestSetupThunderbirdForAll(t *testing.T) {
	m := keyOf(openPGP, "OPENPGP.1", "digitalSignature", "")
	d := m.desk(t)
	e := copyOfEtc(t, d)
	cardctl := append([]string{"cardctl"}, append(m.setup("thunderbird"), "--system", "--ca", d.Path("ca.pem"))...)
	e.run(cardctl...)
	if saw := strings.Join(strings.Fields(e.run(append(cardctl, "--check")...)), " "); !strings.Contains(saw, "Thunderbird made the profile by its policies") {
		t.Errorf("the check saw: %s", saw)
	}
	e.run("cardctl", "setup", "thunderbird", "--system", "--undo")
	if left, _ := filepath.Glob(d.Path("etc/thunderbird/policies/*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

// TestKeysThatAreNotForMail are set up, and told of.
func TestKeysThatAreNotForMail(t *testing.T) {
	d := openPGPRSA.desk(t)
	personOf(d, ".thunderbird")
	said := strings.Join(strings.Fields(d.Run("cardctl", "setup", "thunderbird", "--key", openPGPRSA.key)), " ")
	for _, note := range []string{"The certificate is not for mail", "have to use TLS 1.2 with this key"} {
		if !strings.Contains(said, note) {
			t.Errorf("%q is not in %s", note, said)
		}
	}
	d.Run("cardctl", "setup", "thunderbird", "--key", openPGPRSA.key, "--check")
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.2", "--algorithm", "p256")
	if refused := d.Refused("setup", "thunderbird", "--key", "OPENPGP.2"); refused.Exit != 3 {
		t.Errorf("a key without a certificate: %+v", refused)
	}
	issue(t, d, "OPENPGP.1", "ed25519")
	if refused := d.Refused("setup", "thunderbird", "--key", "OPENPGP.1"); refused.Exit != 7 {
		t.Errorf("an Ed25519 key: %+v", refused)
	}
}
