//go:build stack

package judges

import (
	"bytes"
	"encoding/pem"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

func TestOpenSCSeesWhatWasMade(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("seen", 0).Initialise()
	der := issue(t, d, "OPENPGP.3", "rsa2048")
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.1", "--algorithm", "p256")
	info := d.Info()

	listing := d.Run("openpgp-tool", "-C", "-K")
	for _, key := range info.Keys {
		if !strings.Contains(plain(listing), key.Fingerprint) {
			t.Errorf("openpgp-tool does not show %s %s:\n%s", key.Ref, key.Fingerprint, listing)
		}
	}
	keys := d.Run("pkcs15-tool", "--list-keys")
	for _, want := range []string{"Private RSA Key [Authentication key]", "Private EC Key [Signature key]", "ModLength      : 2048"} {
		if !strings.Contains(keys, want) {
			t.Errorf("pkcs15-tool does not show %q:\n%s", want, keys)
		}
	}
	block, _ := pem.Decode([]byte(d.Run("pkcs15-tool", "--read-certificate", "3")))
	if block == nil || !bytes.Equal(block.Bytes, der) {
		t.Errorf("pkcs15-tool reads another certificate: %v", block)
	}
}

func TestOpenSCSigns(t *testing.T) {
	// OpenSC makes two tokens of the card, by the PIN that a key wants.
	const (
		signing = "OpenPGP card (User PIN (sig))"
		other   = "OpenPGP card (User PIN)"
	)
	tests := []struct {
		key, token, algorithm, mechanism, digest string
	}{
		{"OPENPGP.1", signing, "rsa2048", "SHA256-RSA-PKCS", "-sha256"},
		{"OPENPGP.3", other, "rsa2048", "SHA256-RSA-PKCS", "-sha256"},
		{"OPENPGP.3", other, "rsa3072", "SHA512-RSA-PKCS", "-sha512"},
		{"OPENPGP.1", signing, "p256", "ECDSA-SHA256", "-sha256"},
		{"OPENPGP.3", other, "p384", "ECDSA-SHA384", "-sha384"},
	}
	for _, tt := range tests {
		t.Run(tt.key+" "+tt.algorithm, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card("signs", 0).Initialise()
			d.Run("cardctl", "gen-key", "--key", tt.key, "--algorithm", tt.algorithm)
			public := d.Write("public.pem", d.Run("cardctl", "export-key", "--key", tt.key), 0o600)
			message := d.Write("message", "from the desk\n", 0o600)
			d.Run("pkcs11-tool", "--sign", "--mechanism", tt.mechanism, "--signature-format", "openssl",
				"--token-label", tt.token, "--id", "0"+strings.TrimPrefix(tt.key, "OPENPGP."), "--login", "--pin", stack.UserPIN, "--input-file", message, "--output-file", "signature")
			d.Run("openssl", "dgst", tt.digest, "-verify", public, "-signature", "signature", message)
		})
	}
}

func TestCardctlReadsWhatOpenSCStored(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("stored", 0).Initialise()
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.3", "--algorithm", "rsa2048")
	request := d.Write("request", d.Run("cardctl", "gen-csr", "--key", "OPENPGP.3", "--subject", name), 0o600)
	certificate := d.Authority().Sign(request)

	d.Run("pkcs15-init", "--store-certificate", certificate, "--id", "3", "--auth-id", "3", "--verify-pin", "--pin", stack.AdminPIN)
	want := stack.ParseCertificate(t, d.Read("request.pem"))
	got := stack.ParseCertificate(t, []byte(d.Run("cardctl", "export-cert", "--key", "OPENPGP.3")))
	if !got.Equal(want) {
		t.Errorf("export-cert reads another certificate: %v", got.Subject)
	}
	certificates := d.Info().Certificates
	if len(certificates) != 1 || !certificates[0].MatchesKey || certificates[0].Ref != "OPENPGP.3" {
		t.Errorf("info shows %+v", certificates)
	}
}

// plain takes the spaces and colons out of a fingerprint.
func plain(s string) string {
	return strings.ToUpper(strings.NewReplacer(" ", "", ":", "").Replace(s))
}
