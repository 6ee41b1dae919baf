//go:build stack

package agent_test

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// TestCardsThroughPKCS11 has the tools of OpenSC and GnuTLS list and use the keys of every
// kind of card, in pcscd's readers, and of SoftHSM2. OpenSSL is the other side.
func TestCardsThroughPKCS11(t *testing.T) {
	for _, c := range []keysOn{openPGPRSA, openPGPEC, pivCard, isoApplet, myEID, softHSMToken} {
		t.Run(c.name, func(t *testing.T) {
			d, _ := newCardDesk(t, c)
			d.lists(t, c)
			for _, k := range c.keys {
				d.does(t, c, k)
			}
			if n := d.asked(); n != 1+c.always {
				t.Errorf("a person was asked %d times", n)
			}
			stack.Judged(t, "pkcs11-tool and p11tool", "the agent with "+c.name, "list and use all keys")
		})
	}
}

// TestURIsStay has GnuTLS find keys through the agent by the URIs that info shows, which are
// those of OpenSC's module: a program that moves to the agent keeps them.
func TestURIsStay(t *testing.T) {
	for _, c := range []keysOn{openPGPEC, isoApplet, myEID} {
		t.Run(c.name, func(t *testing.T) {
			d := newStillDesk(t)
			c.bring(t, d, 0)
			known := d.Info("--reader", stack.ReaderName(0)).Keys
			d.start(t)
			for i, k := range c.keys {
				if known[i].Ref != k.ref || known[i].URI == "" {
					t.Errorf("info shows no URI of %s: %+v", k.ref, known[i])
				}
				if urls := d.Run("p11tool", "--provider", module, "--list-all", "--only-urls", known[i].URI); strings.Count(urls, "\n") != 1 {
					t.Errorf("%s finds:\n%s", known[i].URI, urls)
				}
			}
		})
	}
}

// lists has both tools list the keys.
func (d *agentDesk) lists(t *testing.T, c keysOn) {
	t.Helper()
	tokens := d.Run("pkcs11-tool", "--module", module, "-L")
	n, all := 0, map[string]string{}
	for _, k := range c.keys {
		label := d.labelOf(c, k)
		if _, seen := all[label]; !seen {
			has(t, tokens, label, "PIN pad present")
			all[label] = d.Run("pkcs11-tool", "--module", module, "--token-label", label, "-O")
			n += strings.Count(all[label], "Private Key Object")
		}
		has(t, all[label], "ID:         "+k.id)
		has(t, d.Run("p11tool", "--provider", module, "--list-all", "--only-urls", "pkcs11:token="+escapedLabel(label)), "id=%"+k.id)
	}
	if n != len(c.keys) {
		t.Errorf("pkcs11-tool lists %d private keys of %d:\n%s", n, len(c.keys), all)
	}
}

// escapedLabel is a label of a token in a URI.
func escapedLabel(label string) string {
	return strings.NewReplacer(" ", "%20", "(", "%28", ")", "%29").Replace(label)
}

// does has pkcs11-tool use a key for all that it does.
func (d *agentDesk) does(t *testing.T, c keysOn, k keyOn) {
	t.Helper()
	for what, do := range map[string]func(*testing.T, keysOn, keyOn){"sign": d.signs, "decrypt": d.decrypts, "derive": d.derives} {
		if k.can(what) {
			do(t, c, k)
		}
	}
}

// tool is a run of pkcs11-tool with a key.
func (d *agentDesk) tool(c keysOn, k keyOn, args ...string) stack.Result {
	return d.Try("pkcs11-tool", append([]string{"--module", module, "--token-label", d.labelOf(c, k), "--id", k.id}, args...)...)
}

// signs has a key sign, and OpenSSL verify.
func (d *agentDesk) signs(t *testing.T, c keysOn, k keyOn) {
	t.Helper()
	d.Write("data", "signed by a card", 0o600)
	d.Run("openssl", "dgst", "-sha256", "-binary", "-out", "digest", "data")
	args := []string{"--sign", "--mechanism", "ECDSA", "--signature-format", "openssl", "--input-file", "digest", "--output-file", "signature"}
	if k.rsa() {
		args = []string{"--sign", "--mechanism", "SHA256-RSA-PKCS", "--input-file", "data", "--output-file", "signature"}
	}
	if r := d.tool(c, k, args...); r.Exit != 0 {
		t.Errorf("%s signs: %v", k.ref, r)
		return
	}
	if r := d.Try("openssl", "dgst", "-sha256", "-verify", k.public(), "-signature", "signature", "data"); r.Exit != 0 {
		t.Errorf("the signature of %s: %v", k.ref, r)
	}
}

// decrypts has a key decrypt what OpenSSL encrypted for it.
func (d *agentDesk) decrypts(t *testing.T, c keysOn, k keyOn) {
	t.Helper()
	d.Write("data", "for the card", 0o600)
	d.Run("openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", k.public(), "-in", "data", "-out", "sealed")
	r := d.tool(c, k, "--decrypt", "--mechanism", "RSA-PKCS", "--input-file", "sealed", "--output-file", "opened")
	if r.Exit != 0 {
		t.Errorf("%s decrypts: %v", k.ref, r)
	} else if got := string(d.Read("opened")); got != "for the card" {
		t.Errorf("%s decrypts %q", k.ref, got)
	}
}

// derives has a key and OpenSSL agree on a secret. p11-kit-client.so before 0.25 passes on no
// ECDH.
func (d *agentDesk) derives(t *testing.T, c keysOn, k keyOn) {
	t.Helper()
	if strings.HasPrefix(d.Run("dpkg-query", "--show", "--showformat", "${Version}", "p11-kit"), "0.24.") {
		return
	}
	d.Run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "peer.pem")
	d.Run("openssl", "pkey", "-in", "peer.pem", "-pubout", "-outform", "DER", "-out", "peer.der")
	d.Run("openssl", "pkeyutl", "-derive", "-inkey", "peer.pem", "-peerkey", k.public(), "-out", "agreed")
	r := d.tool(c, k, "--derive", "--mechanism", "ECDH1-DERIVE", "--input-file", "peer.der", "--output-file", "derived")
	if r.Exit != 0 {
		t.Errorf("%s derives: %v", k.ref, r)
	} else if string(d.Read("derived")) != string(d.Read("agreed")) {
		t.Errorf("%s derives another secret", k.ref)
	}
}
