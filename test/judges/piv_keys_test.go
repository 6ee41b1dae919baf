//go:build stack

package judges

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// A key and its certificate from a PKCS#12 file are used by OpenSC and yubico-piv-tool; a
// key that yubico-piv-tool imports, cardctl shows.
func TestPIVKeysFromFiles(t *testing.T) {
	for _, profile := range []string{"piv-yubikey-4", "piv-yubikey-5"} {
		t.Run(profile, func(t *testing.T) {
			d := pivCard(t, profile)
			d.Setenv("CARDCTL_MANAGEMENT_KEY", pivManagementKey)
			d.Setenv("CARDCTL_PASSWORD", "snake oil")
			d.Run("openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", d.Path("key.pem"))
			d.Run("openssl", "req", "-x509", "-key", d.Path("key.pem"), "-days", "7", "-subj", "/CN=Floppy Head", "-out", d.Path("certificate.pem"))
			d.Run("openssl", "pkey", "-in", d.Path("key.pem"), "-pubout", "-out", d.Path("public.pem"))
			d.Run("openssl", "pkcs12", "-export", "-inkey", d.Path("key.pem"), "-in", d.Path("certificate.pem"), "-passout", "env:CARDCTL_PASSWORD",
				"-out", d.Path("key.p12"))
			d.Run("cardctl", "import-key", "--key", "PIV.9A", d.Path("key.p12"))
			openSCUsesPIV(t, d)
			if read := yubicoTool(d, "-a", "read-certificate", "-s", "9a"); read != string(d.Read("certificate.pem")) {
				t.Errorf("yubico-piv-tool reads %s", read)
			}
			yubicoTool(d, "-a", "verify-pin", "-P", pivPIN, "-a", "test-signature", "-s", "9a", "-i", d.Path("certificate.pem"))

			d.Run("openssl", "genrsa", "-traditional", "-out", d.Path("rsa.pem"), "2048")
			yubicoTool(d, "-a", "import-key", "-s", "9e", "-i", d.Path("rsa.pem"))
			for _, k := range d.Info().Keys {
				if k.Ref == "PIV.9E" && k.Algorithm != "rsa2048" {
					t.Errorf("info shows %+v", k)
				}
			}
		})
	}
}

// A key that moved to a retired slot is listed by OpenSC, and decrypts.
func TestPIVMovedKey(t *testing.T) {
	d := pivCard(t, "piv-yubikey-5.7")
	d.Setenv("CARDCTL_MANAGEMENT_KEY", pivManagementKey)
	d.Run("cardctl", "gen-key", "--key", "PIV.9D", "--algorithm", "rsa2048", "--out", d.Path("public.pem"))
	d.Run("cardctl", "gen-csr", "--key", "PIV.9D", "--subject", name, "--self-signed", "--days", "7", "--out", d.Path("certificate.pem"))
	d.Run("cardctl", "import-cert", "--key", "PIV.9D", d.Path("certificate.pem"))
	d.Run("cardctl", "move-key", "--key", "PIV.9D", "--retire")
	if list := d.Run("pkcs15-tool", "--list-certificates"); !strings.Contains(list, "Retired") {
		t.Errorf("pkcs15-tool lists %s", list)
	}
	const retired = "5" // OpenSC's ID of the first
	if read := d.Run("pkcs15-tool", "--read-certificate", retired); read != string(d.Read("certificate.pem")) {
		t.Errorf("pkcs15-tool reads %s", read)
	}
	message := d.Write("message", "from the desk", 0o600)
	d.Run("openssl", "pkeyutl", "-encrypt", "-pubin", "-inkey", d.Path("public.pem"), "-in", message, "-out", d.Path("secret"))
	d.Run("pkcs11-tool", "--decrypt", "--mechanism", "RSA-PKCS", "--id", "0"+retired, "--login", "--pin", pivPIN,
		"--input-file", d.Path("secret"), "--output-file", d.Path("plain"))
	if plain := string(d.Read("plain")); plain != "from the desk" {
		t.Errorf("decrypted %q", plain)
	}
}

// The statement that cardctl writes is one that OpenSSL verifies up to the maker, about the
// key that yubico-piv-tool has attested too.
func TestPIVAttestation(t *testing.T) {
	for _, profile := range []string{"piv-yubikey-4", "piv-yubikey-5", "piv-yubikey-5.7"} {
		t.Run(profile, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card("piv", 0, "--profile", profile, "--attestation-ca", d.Path("maker.pem"))
			d.Setenv("CARDCTL_MANAGEMENT_KEY", pivManagementKey)
			d.Run("cardctl", "gen-key", "--key", "PIV.9A")
			d.Run("cardctl", "attest", "--key", "PIV.9A", "--ca", d.Path("maker.pem"), "--out", d.Path("statement.pem"))
			d.Run("openssl", "verify", "-CAfile", d.Path("maker.pem"), "-untrusted", d.Path("statement.pem"), d.Path("statement.pem"))
			ours := stack.ParseCertificate(t, d.Read("statement.pem"))
			theirs := stack.ParseCertificate(t, []byte(yubicoTool(d, "-a", "attest", "-s", "9a")))
			if string(ours.RawSubjectPublicKeyInfo) != string(theirs.RawSubjectPublicKeyInfo) || ours.Subject.String() != theirs.Subject.String() {
				t.Errorf("%v and %v", ours.Subject, theirs.Subject)
			}
		})
	}
}
