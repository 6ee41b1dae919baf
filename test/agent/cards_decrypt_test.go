//go:build stack

package agent_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// TestPKCS15CardsDecrypt has keys of PKCS#15 cards decrypt and derive by both doors, and decrypt
// by OpenSC's module on the same card: all get what OpenSSL encrypted or derived. That module
// writes a secret that it derives into a file for keys on a MyEID card, which a simulated one
// does not have.
func TestPKCS15CardsDecrypt(t *testing.T) {
	for _, c := range []keysOn{isoApplet, myEID} {
		t.Run(c.name, func(t *testing.T) {
			signing := keyOn{"PKCS15.47", "rsa2048", "47", "sign"}
			with := c
			with.keys = append([]keyOn{signing}, c.keys...)
			d, _ := newCardDesk(t, with)
			curve, key := c.keys[1], c.keys[0]
			d.decrypts(t, c, key)
			if c.name == myEID.name {
				d.decryptsOAEP(t, c, key)
			}
			if r := d.tool(c, signing, "--decrypt", "--mechanism", "RSA-PKCS", "--input-file", "sealed", "--output-file", "no"); r.Exit == 0 {
				t.Errorf("a key that was made to sign decrypts: %v", r)
			}
			if got := d.scd(t, key, d.Read("sealed")); string(got) != "for the card" {
				t.Errorf("%s decrypts %q for GnuPG", key.ref, got)
			}
			d.refuses(t, signing, d.Read("sealed"))
			point, agreed := d.agreement(t, curve)
			if curve.can("derive") {
				if got := d.scd(t, curve, point); !bytes.Equal(got, append([]byte{0x41}, agreed...)) {
					t.Errorf("%s derives %x for GnuPG, not %x", curve.ref, got, agreed)
				}
			} else {
				d.refuses(t, curve, point)
			}
			d.once(t)

			d.Run("cardctl", "agent", "release")
			d.Setenv("PIN", cardPIN)
			d.Run("pkcs11-tool", "--module", "opensc-pkcs11.so", "--login", "--pin", "env:PIN", "--id", key.id,
				"--decrypt", "--mechanism", "RSA-PKCS", "--input-file", "sealed", "--output-file", "opened")
			if got := string(d.Read("opened")); got != "for the card" {
				t.Errorf("OpenSC decrypts %q", got)
			}
			stack.Judged(t, "pkcs11-tool and openssl", "the agent with "+c.name, "decrypt what was encrypted for the card")
		})
	}
}

// decryptsOAEP is decrypts with another padding.
func (d *agentDesk) decryptsOAEP(t *testing.T, c keysOn, k keyOn) {
	t.Helper()
	d.Run("openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", k.public(), "-pkeyopt", "rsa_padding_mode:oaep",
		"-pkeyopt", "rsa_oaep_md:sha256", "-in", "data", "-out", "sealed.oaep")
	r := d.tool(c, k, "--decrypt", "--mechanism", "RSA-PKCS-OAEP", "--hash-algorithm", "SHA256", "--mgf", "MGF1-SHA256",
		"--input-file", "sealed.oaep", "--output-file", "opened.oaep")
	if r.Exit != 0 {
		t.Errorf("%s decrypts with OAEP: %v", k.ref, r)
	} else if got := string(d.Read("opened.oaep")); got != "for the card" {
		t.Errorf("%s decrypts %q with OAEP", k.ref, got)
	}
}

// agreement is a new point, and the secret that OpenSSL shares with a key.
func (d *agentDesk) agreement(t *testing.T, k keyOn) (point, agreed []byte) {
	t.Helper()
	d.Run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", "peer.pem")
	d.Run("openssl", "pkey", "-in", "peer.pem", "-pubout", "-outform", "DER", "-out", "peer.der")
	d.Run("openssl", "pkeyutl", "-derive", "-inkey", "peer.pem", "-peerkey", k.public(), "-out", "agreed")
	const length = 65 // the point ends a SubjectPublicKeyInfo
	der := d.Read("peer.der")
	return der[len(der)-length:], d.Read("agreed")
}

// deciphers has GnuPG's door use a key with some data.
func (d *agentDesk) deciphers(k keyOn, data []byte) string {
	commands := fmt.Sprintf("SERIALNO\nSETDATA %X\nPKDECRYPT %s\nBYE\n", data, k.ref)
	return d.TryInput(commands, "cardctl", "agent", "--stdio", "scd").Stdout
}

// scd is what a key makes of data for GnuPG.
func (d *agentDesk) scd(t *testing.T, k keyOn, data []byte) []byte {
	t.Helper()
	said := d.deciphers(k, data)
	line := regexp.MustCompile(`(?m)^D (.*)$`).FindStringSubmatch(said)
	if line == nil {
		t.Errorf("%s: %s", k.ref, said)
		return nil
	}
	var plain []byte
	for rest := line[1]; rest != ""; {
		if octet, is := strings.CutPrefix(rest, "%"); is {
			value, err := strconv.ParseUint(octet[:2], 16, 8)
			if err != nil {
				t.Fatal(err)
			}
			plain, rest = append(plain, byte(value)), octet[2:]
			continue
		}
		plain, rest = append(plain, rest[0]), rest[1:]
	}
	return plain
}

// refuses has a key that was not made for it refuse.
func (d *agentDesk) refuses(t *testing.T, k keyOn, data []byte) {
	t.Helper()
	const notSupported = 100663356 // GPG_ERR_NOT_SUPPORTED of scdaemon
	if said := d.deciphers(k, data); !strings.Contains(said, fmt.Sprint("ERR ", notSupported)) || strings.Contains(said, hex.EncodeToString(data)) {
		t.Errorf("%s: %s", k.ref, said)
	}
}
