//go:build stack

package judges

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// The secrets of a PIV card from the factory.
const (
	pivPIN = "123456"
	// pivManagementKey is 3DES up to firmware 5.6.
	pivManagementKey = "010203040506070801020304050607080102030405060708"
)

// pivCard is a simulated PIV card in reader 0.
func pivCard(t *testing.T, profile string) *stack.Desk {
	t.Helper()
	d := stack.NewDesk(t)
	d.Card("piv", 0, "--applications", "piv", "--profile", profile)
	d.Setenv("CARDCTL_PIN", pivPIN)
	return d
}

// certified is a certificate for a public key in PEM, as PEM.
func certified(t *testing.T, public string) []byte {
	t.Helper()
	block, _ := pem.Decode([]byte(public))
	if block == nil {
		t.Fatalf("not PEM: %q", public)
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	issuer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(4711), Subject: pkix.Name{CommonName: "Floppy Head"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), KeyUsage: x509.KeyUsageDigitalSignature,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key, issuer)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

// yubicoTool runs yubico-piv-tool on the card.
func yubicoTool(d *stack.Desk, args ...string) string {
	return d.Run("yubico-piv-tool", append([]string{"--reader", stack.ReaderName(0)}, args...)...)
}

// What Yubico's and OpenSC's programs put on a YubiKey, cardctl reads and OpenSC uses.
func TestPIVOfYubicoTool(t *testing.T) {
	for _, profile := range []string{"piv-yubikey-4", "piv-yubikey-5"} {
		t.Run(profile, func(t *testing.T) {
			d := pivCard(t, profile)
			yubicoTool(d, "-a", "set-chuid", "-a", "set-ccc")
			public := yubicoTool(d, "-a", "generate", "-s", "9a", "-A", "ECCP256")
			d.Write("public.pem", public, 0o600)
			certificate := certified(t, public)
			d.Write("certificate.pem", string(certificate), 0o600)
			yubicoTool(d, "-a", "import-certificate", "-s", "9a", "-i", d.Path("certificate.pem"))
			status := yubicoTool(d, "-a", "status")
			if !strings.Contains(status, "Floppy Head") || !strings.Contains(status, "PIN tries left:\t3") {
				t.Errorf("status: %s", status)
			}
			yubicoTool(d, "-a", "verify-pin", "-P", pivPIN)

			info := d.Info()
			if info.Keys[0].Ref != "PIV.9A" || info.Keys[0].Algorithm != "p256" {
				t.Errorf("info shows %+v", info.Keys)
			}
			if c := info.Certificates[0]; c.Ref != "PIV.9A" || !c.MatchesKey {
				t.Errorf("info shows %+v", c)
			}
			if got := d.Run("cardctl", "export-cert", "--key", "PIV.9A"); got != string(certificate) {
				t.Errorf("export-cert: %s", got)
			}
			if got := d.Run("cardctl", "export-key", "--key", "PIV.9A"); got != public {
				t.Errorf("export-key: %s", got)
			}
			openSCUsesPIV(t, d)
			stack.Judged(t, "yubico-piv-tool", profile, "its key, certificate, CHUID and CCC: read")
			stack.Judged(t, "OpenSC", profile, "yubico-piv-tool's key and certificate: read, used")
		})
	}
}

// What cardctl puts on a YubiKey, yubico-piv-tool uses and replaces; PINs, PUKs and
// management keys that one of them sets, the other uses.
func TestYubicoToolUsesPIV(t *testing.T) {
	for _, test := range []struct{ profile, algorithm string }{
		{"piv-yubikey-4", "ECCP256"}, {"piv-yubikey-4", "ECCP384"}, {"piv-yubikey-5", "RSA2048"},
	} {
		t.Run(test.profile+" "+test.algorithm, func(t *testing.T) {
			d := pivCard(t, test.profile)
			set := func(variable, value string) string {
				d.Setenv(variable, value)
				return value
			}
			set("CARDCTL_PUK", "12345678")
			set("CARDCTL_MANAGEMENT_KEY", pivManagementKey)
			set("NEW", "246824")
			d.Run("cardctl", "set-pin", "user", "--new-pin", "env:NEW")
			set("NEW", "86428642")
			d.Run("cardctl", "set-pin", "puk", "--new-pin", "env:NEW", "--allow-unknown-tries")
			set("CARDCTL_PIN", "246824")
			algorithm := strings.Replace(strings.ToLower(test.algorithm), "ecc", "", 1)
			d.Run("cardctl", "gen-key", "--key", "PIV.9A", "--algorithm", algorithm, "--out", d.Path("public.pem"))
			d.Authority().Certify("public.pem", "/CN=Floppy Head", "certificate.pem")
			d.Run("cardctl", "import-cert", "--key", "PIV.9A", "certificate.pem")
			want := stack.ParseCertificate(t, d.Read("certificate.pem"))
			if got := stack.ParseCertificate(t, []byte(yubicoTool(d, "-a", "read-certificate", "-s", "9a"))); !got.Equal(want) {
				t.Errorf("another certificate: %v", got.Subject)
			}
			yubicoTool(d, "-a", "verify-pin", "-P", "246824", "-a", "test-signature", "-s", "9a", "-i", d.Path("certificate.pem"))
			stack.Judged(t, "yubico-piv-tool", test.profile, "cardctl's key and certificate, "+algorithm+": read, used")

			yubicoTool(d, "-a", "change-pin", "-P", "246824", "-N", pivPIN)
			yubicoTool(d, "-a", "unblock-pin", "-P", "86428642", "-N", "135724")
			yubicoTool(d, "-a", "change-puk", "-P", "86428642", "-N", "97539753")
			set("CARDCTL_PUK", "97539753")
			set("NEW", pivPIN)
			d.Run("cardctl", "unblock-pin", "user", "--new-pin", "env:NEW", "--allow-unknown-tries")
			yubicoTool(d, "-a", "verify-pin", "-P", pivPIN)
			stack.Judged(t, "yubico-piv-tool", test.profile, "PIN and PUK: set, changed and unblocked by each after the other")

			const key = "A1B2C3D4E5F607182938475665748392ABCDEF0123456789"
			yubicoTool(d, "-a", "set-mgm-key", "-n", key)
			set("CARDCTL_MANAGEMENT_KEY", key)
			d.Run("cardctl", "delete-cert", "--key", "PIV.9A", "--yes")
			yubicoTool(d, "--key="+key, "-a", "import-certificate", "-s", "9a", "-i", d.Path("certificate.pem"))
			if got := d.Run("cardctl", "export-cert", "--key", "PIV.9A"); got != string(d.Read("certificate.pem")) {
				t.Errorf("export-cert: %s", got)
			}
			stack.Judged(t, "yubico-piv-tool", test.profile, "its management key, 3des: used")
		})
	}
}

// A card of the standard's minimum is written by piv-tool of OpenSC.
func TestPIVOfOpenSC(t *testing.T) {
	d := pivCard(t, "piv-nist")
	d.Setenv("PIV_EXT_AUTH_KEY", d.Write("management-key", pivManagementKey, 0o600))
	// The command itself, because --genkey of OpenSC 0.23 does not work with OpenSSL 3.
	answer := d.Run("piv-tool", "--admin", "M:9B:03", "--send-apdu", "00:47:00:9A:05:AC:03:80:01:11:00")
	public := publicInAnswer(t, answer)
	d.Write("public.pem", public, 0o600)
	certificate := certified(t, public)
	d.Write("certificate.pem", string(certificate), 0o600)
	block, _ := pem.Decode(certificate)
	var compressed bytes.Buffer
	w := gzip.NewWriter(&compressed)
	if _, err := w.Write(block.Bytes); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	d.Try("piv-tool", "--admin", "M:9B:03", "--compresscert", "9A", "--in", d.Write("certificate.gz", compressed.String(), 0o600)) // its status is how much it wrote
	if got := d.Run("cardctl", "export-cert", "--key", "PIV.9A"); got != string(d.Read("certificate.pem")) {
		t.Errorf("export-cert: %s", got)
	}
	openSCUsesPIV(t, d)
	stack.Judged(t, "OpenSC", "piv-nist", "its key and compressed certificate: read, used")
}

// publicInAnswer is the public key in PEM that GENERATE ASYMMETRIC KEY PAIR answered, as
// OpenSC prints it: sixteen bytes a line, in hex and as text.
func publicInAnswer(t *testing.T, printed string) string {
	t.Helper()
	var raw []byte
	_, hexadecimal, _ := strings.Cut(printed, "Received (SW1=0x90, SW2=0x00):\n")
	for line := range strings.Lines(hexadecimal) {
		for _, word := range strings.Fields(line[:min(len(line), 3*16)]) {
			if b, err := hex.DecodeString(word); err == nil && len(b) == 1 {
				raw = append(raw, b...)
			}
		}
	}
	const header, point = 5, 65 // 7F49 43 86 41
	if len(raw) < header+point {
		t.Fatalf("%X in %s", raw, printed)
	}
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), raw[header:header+point])
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// openSCUsesPIV has OpenSC read the certificate of PIV.9A and sign with its key.
func openSCUsesPIV(t *testing.T, d *stack.Desk) {
	t.Helper()
	if got := d.Run("pkcs15-tool", "--read-certificate", "1"); got != string(d.Read("certificate.pem")) {
		t.Errorf("pkcs15-tool reads another certificate: %s", got)
	}
	message := d.Write("message", "from the desk\n", 0o600)
	d.Run("pkcs11-tool", "--sign", "--mechanism", "ECDSA-SHA256", "--signature-format", "openssl", "--id", "01", "--login", "--pin", pivPIN,
		"--input-file", message, "--output-file", d.Path("signature"))
	d.Run("openssl", "dgst", "-sha256", "-verify", d.Path("public.pem"), "-signature", d.Path("signature"), message)
}

// The way from an empty slot to a certificate that works, on every profile; what cardctl
// wrote is read and used by OpenSC, and by yubico-piv-tool on the cards that it knows.
func TestPIVWay(t *testing.T) {
	for _, test := range []struct{ profile, key, algorithm string }{
		{"piv-nist", "9A", "p256"}, {"piv-nist", "9C", "rsa2048"}, {"piv-yubikey-4", "9C", "p256"}, {"piv-yubikey-5", "9A", "rsa2048"},
		{"piv-yubikey-5", "9E", "p384"}, {"piv-yubikey-5.7", "9C", "p384"},
	} {
		t.Run(test.profile+" "+test.key+" "+test.algorithm, func(t *testing.T) {
			d := pivCard(t, test.profile)
			d.Setenv("CARDCTL_MANAGEMENT_KEY", pivManagementKey)
			ref := "PIV." + test.key
			generate, told := []string{"gen-key", "--key", ref, "--algorithm", test.algorithm, "--out", d.Path("public.pem")}, []string(nil)
			if test.profile == "piv-nist" {
				d.Refused(generate...)
				generate, told = append(generate, "--replace", "unknown"), []string{"--public-key", d.Path("public.pem")}
			}
			d.Run("cardctl", generate...)
			request := d.Write("request", d.Run("cardctl", append([]string{"gen-csr", "--key", ref, "--subject", name}, told...)...), 0o600)
			d.Run("openssl", "req", "-verify", "-noout", "-in", request)
			certificate := d.Authority().Sign(request)
			d.Run("cardctl", "import-cert", "--key", ref, certificate)
			want := stack.ParseCertificate(t, d.Read("request.pem"))
			id := map[string]string{"9A": "1", "9C": "2", "9D": "3", "9E": "4"}[test.key]
			if got := stack.ParseCertificate(t, []byte(d.Run("pkcs15-tool", "--read-certificate", id))); !got.Equal(want) {
				t.Errorf("pkcs15-tool reads another certificate: %v", got.Subject)
			}
			d.Run("cardctl", "smoke-test", "--key", ref, "--module", "opensc", "--tls")
			if strings.HasPrefix(test.profile, "piv-yubikey") && test.profile != "piv-yubikey-5.7" {
				read := yubicoTool(d, "-a", "read-certificate", "-s", strings.ToLower(test.key))
				if !stack.ParseCertificate(t, []byte(read)).Equal(want) {
					t.Error("yubico-piv-tool reads another certificate")
				}
				stack.Judged(t, "yubico-piv-tool", test.profile, "cardctl's certificate: read")
			}
			d.Setenv("NEW", "246824")
			d.Run("cardctl", "set-pin", "user", "--new-pin", "env:NEW")
			d.Run("pkcs11-tool", "--login", "--pin", "246824", "--list-objects")
			d.Setenv("CARDCTL_PUK", "12345678")
			d.Setenv("NEW", pivPIN)
			d.Run("cardctl", "unblock-pin", "user", "--new-pin", "env:NEW", "--allow-unknown-tries")
			d.Run("pkcs11-tool", "--login", "--pin", pivPIN, "--list-objects")
			d.Run("cardctl", "delete-cert", "--key", ref, "--yes")
			stack.Judged(t, "OpenSC", test.profile, "cardctl's key and certificate, "+test.algorithm+": read, used, also by smoke-test; PIN: set, unblocked")
			stack.Judged(t, "OpenSSL", test.profile, "cardctl's request, "+test.algorithm+": verified")
		})
	}
}

// OpenSC 0.23 does not know keys of curve 25519, which smoke-test says.
func TestOpenSCDoesNotKnowNewKeys(t *testing.T) {
	for _, algorithm := range []string{"ed25519", "x25519"} {
		t.Run(algorithm, func(t *testing.T) {
			d := pivCard(t, "piv-yubikey-5.7")
			d.Setenv("CARDCTL_MANAGEMENT_KEY", pivManagementKey)
			d.Run("cardctl", "gen-key", "--key", "PIV.9D", "--algorithm", algorithm, "--out", d.Path("public.pem"))
			d.Authority().Certify("public.pem", "/CN=Floppy Head", "certificate.pem")
			d.Run("cardctl", "import-cert", "--key", "PIV.9D", "certificate.pem")
			r := d.Try("cardctl", "smoke-test", "--key", "PIV.9D", "--module", "opensc")
			if r.Exit != 7 && r.Exit != 0 || r.Exit == 7 && !strings.Contains(r.Stderr, algorithm) {
				t.Error(r)
			}
		})
	}
}
