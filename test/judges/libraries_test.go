//go:build stack

package judges

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// libraryKey is a key with a certificate, as the programs of a TLS library get it.
type libraryKey struct {
	ref, module, pin string
}

// TestTheLibrariesDoAsSmokeTestSays lets the real openssl and gnutls-cli shake hands with
// the real OpenSSL server, in each version of TLS, and compares with smoke-test --as.
func TestTheLibrariesDoAsSmokeTestSays(t *testing.T) {
	const openSC = "opensc"
	openPGP := func(profile ...string) func(*testing.T, string) (*stack.Desk, libraryKey) {
		return func(t *testing.T, algorithm string) (*stack.Desk, libraryKey) {
			d := stack.NewDesk(t)
			d.Card("client", 0, profile...).Initialise()
			issue(t, d, "OPENPGP.3", algorithm)
			return d, libraryKey{"OPENPGP.3", openSC, stack.UserPIN}
		}
	}
	piv := func(t *testing.T, algorithm string) (*stack.Desk, libraryKey) {
		d := pivCard(t, "piv-yubikey-5")
		d.Setenv("CARDCTL_MANAGEMENT_KEY", pivManagementKey)
		issue(t, d, "PIV.9A", algorithm)
		return d, libraryKey{"PIV.9A", openSC, pivPIN}
	}
	token := func(t *testing.T, algorithm string) (*stack.Desk, libraryKey) {
		d := tokenDesk(t)
		key := "pkcs11:token=desk;object=client"
		issueOnToken(t, d, key, "--algorithm", algorithm)
		return d, libraryKey{key, "softhsm2", "canary-736451"}
	}
	tests := []struct {
		on         string
		make       func(*testing.T, string) (*stack.Desk, libraryKey)
		algorithms []string
	}{
		{"OpenPGP", openPGP(), []string{"p256", "p384", "ed25519", "rsa2048"}},
		{"a strict OpenPGP card", openPGP("--profile", "strict-lengths"), []string{"p384"}},
		{"PIV", piv, []string{"p256", "p384", "rsa2048"}},
		{"SoftHSM", token, []string{"p256", "p521", "rsa2048", "ed25519"}},
	}
	for _, tt := range tests {
		for _, algorithm := range tt.algorithms {
			t.Run(tt.on+"/"+algorithm, func(t *testing.T) {
				d, key := tt.make(t, algorithm)
				d.Run("cardctl", "export-cert", "--key", key.ref, "--out", "client.pem")
				for library, connect := range map[string]string{
					"openssl": "PKCS11_MODULE_PATH=%s timeout 30 openssl s_client -engine pkcs11 -keyform engine -key '%s' -cert client.pem -CAfile ca.pem -connect %s",
					"gnutls":  "timeout 30 gnutls-cli --provider=%s --x509keyfile='%s' --x509certfile=client.pem --x509cafile=ca.pem %s",
				} {
					report := testedAs(t, d, key, library)
					for check, version := range map[string]string{"tls1.2": "-tls1_2", "tls1.3": "-tls1_3"} {
						address := serve(t, d, version)
						result := d.TryInput("Q\n", "sh", "-c", fmt.Sprintf(connect, report.Module, report.uri()+"?pin-value="+key.pin, address))
						said := func(what string) bool { return strings.Contains(string(d.Read("server.log")), what) }
						const taken = "Peer certificate: CN=Floppy Head"
						d.Eventually("the server says what it saw", func() bool { return said(taken) || said("ERROR") || result.Exit != 0 })
						if verdict, detail := report.result(check); (verdict == "pass") != said(taken) {
							t.Errorf("%s: %s, smoke-test says %s: %s\n%v\n%s", library, check, verdict, detail, result, d.Read("server.log"))
						}
					}
				}
			})
		}
	}
}

func testedAs(t *testing.T, d *stack.Desk, key libraryKey, library string) (report smoke) {
	t.Helper()
	result := d.Try("cardctl", "smoke-test", "--key", key.ref, "--module", key.module, "--as", library, "-o", "json")
	if err := json.Unmarshal([]byte(result.Stdout), &report); err != nil {
		t.Fatalf("%v: %v", result, err)
	}
	return report
}

// uri names the key in the module.
func (s smoke) uri() string {
	_, detail := s.result("key")
	uri, _, _ := strings.Cut(detail, ",")
	return uri
}
