//go:build stack

package judges

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// ykcs11 shows and uses the keys that cardctl generates, by pkcs11-tool and by smoke-test;
// and says, by smoke-test, what it does not know.
func TestYKCS11UsesPIVKeys(t *testing.T) {
	for _, test := range []struct{ profile, key, id, algorithm, mechanism string }{
		{"piv-nist", "9A", "01", "p256", "ECDSA-SHA256"}, {"piv-yubikey-4", "9C", "02", "p384", "ECDSA-SHA384"}, {"piv-yubikey-5", "9A", "01", "rsa2048", "SHA256-RSA-PKCS"},
		{"piv-yubikey-5.7", "9D", "03", "p256", "ECDSA-SHA256"}, {"piv-yubikey-5.7", "82", "05", "p384", "ECDSA-SHA384"}, {"piv-yubikey-5.7", "9A", "", "ed25519", ""},
		{"piv-yubikey-5.7", "9D", "", "x25519", ""}, {"piv-yubikey-5.7", "9C", "", "rsa3072", ""},
	} {
		t.Run(test.profile+" "+test.key+" "+test.algorithm, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card("piv", stack.YubicoReader, "--applications", "piv", "--profile", test.profile)
			d.Setenv("CARDCTL_PIN", pivPIN)
			d.Setenv("CARDCTL_MANAGEMENT_KEY", pivManagementKey)
			ref := "PIV." + test.key
			generate := []string{"gen-key", "--key", ref, "--algorithm", test.algorithm, "--out", d.Path("public.pem")}
			imports := []string{"import-cert", "--key", ref, "certificate.pem"}
			if test.profile == "piv-nist" {
				generate, imports = append(generate, "--replace", "unknown"), append(imports, "--public-key", "public.pem")
			}
			d.Run("cardctl", generate...)
			d.Authority().Certify("public.pem", "/CN=Floppy Head", "certificate.pem")
			d.Run("cardctl", imports...)
			smokeTest := []string{"smoke-test", "--key", ref, "--module", "ykcs11"}
			if test.mechanism == "" {
				r := d.Try("cardctl", smokeTest...)
				if r.Exit != 7 && r.Exit != 0 || r.Exit == 7 && !strings.Contains(r.Stderr, "mechanism") {
					t.Errorf("a key that ykcs11 2.2 does not know: %v", r)
				}
				return
			}
			const module = "libykcs11.so.2"
			if slots := d.Run("pkcs11-tool", "--module", module, "--list-slots"); test.profile == "piv-nist" && !strings.Contains(slots, "token label") {
				return // newer versions show YubiKeys only
			}
			d.Run("cardctl", smokeTest...)
			d.Run("pkcs11-tool", "--module", module, "--read-object", "--type", "cert", "--id", test.id, "--output-file", d.Path("read.der"))
			d.Run("openssl", "x509", "-in", "read.der", "-out", "read.pem")
			if !stack.ParseCertificate(t, d.Read("read.pem")).Equal(stack.ParseCertificate(t, d.Read("certificate.pem"))) {
				t.Error("ykcs11 reads another certificate")
			}
			message := d.Write("message", "from the desk\n", 0o600)
			sign := []string{"--module", module, "--sign", "--mechanism", test.mechanism, "--id", test.id, "--login", "--pin", pivPIN, "--input-file", message, "--output-file", d.Path("signature")}
			digest := "-sha256"
			if test.algorithm != "rsa2048" {
				sign = append(sign, "--signature-format", "openssl")
			}
			if test.algorithm == "p384" {
				digest = "-sha384"
			}
			d.Run("pkcs11-tool", sign...)
			d.Run("openssl", "dgst", digest, "-verify", d.Path("public.pem"), "-signature", d.Path("signature"), message)
			stack.Judged(t, "ykcs11", test.profile, "cardctl's key and certificate, "+test.algorithm+": read, used, also by smoke-test")
		})
	}
}
