//go:build stack

package judges

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

const openSC = "/usr/lib/x86_64-linux-gnu/opensc-pkcs11.so"

// Debian has OpenSSL's provider for PKCS#11 since 13. With the configuration that
// docs/using-the-card.md shows, it does what the engine does, with every kind of key.
func TestOpenSSLProviderUsesTheURIThatIsPrinted(t *testing.T) {
	const onToken, onCard = "pkcs11:token=desk;object=vpn;type=private", "pkcs11:token=OpenPGP%20card%20%28User%20PIN%29;id=%03;type=private"
	config, line := providerInDocuments(t)
	if !strings.Contains(config, softHSM) || !strings.Contains(line, onToken) {
		t.Fatalf("another configuration, or another line:\n%s\n%s", config, line)
	}
	if provider, err := filepath.Glob("/usr/lib/*/ossl-modules/pkcs11.so"); err != nil || len(provider) == 0 {
		return // need installs it where Debian has it
	}
	for _, algorithm := range []string{"rsa2048", "p256", "ed25519"} {
		t.Run(algorithm, func(t *testing.T) {
			d := tokenDesk(t)
			issueOnToken(t, d, "pkcs11:token=desk;object=vpn", "--algorithm", algorithm)
			requestByProvider(t, d, "canary-736451", config, line)
		})
	}
	for _, algorithm := range []string{"rsa2048", "p256"} {
		t.Run("card "+algorithm, func(t *testing.T) {
			d := stack.NewDesk(t)
			d.Card("desk", 0).Initialise()
			issue(t, d, "OPENPGP.3", algorithm)
			requestByProvider(t, d, stack.UserPIN, strings.ReplaceAll(config, softHSM, openSC), strings.ReplaceAll(line, onToken, onCard))
		})
	}
}

// providerInDocuments is what docs/using-the-card.md says to put into provider.conf, and
// to type then.
func providerInDocuments(t *testing.T) (config, line string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/using-the-card.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "`provider.conf`:\n\n")
	config, rest, _ = strings.Cut(rest, "\n\n")
	_, rest, _ = strings.Cut(rest, "\n\n    ")
	line, _, _ = strings.Cut(rest, "\n")
	return config, line
}

// requestByProvider has OpenSSL sign a request with the key.
func requestByProvider(t *testing.T, d *stack.Desk, pin, config, line string) {
	t.Helper()
	d.Write("provider.conf", config, 0o600)
	d.Setenv("PIN", pin)
	if got := d.VerifyRequest(d.Run("sh", "-c", line)); got.Subject != "CN=Floppy Head" {
		t.Errorf("another request: %+v", got)
	}
}
