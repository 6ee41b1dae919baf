//go:build stack

package agent_test

import (
	"path/filepath"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// TestOpenSSLProvider has OpenSSL's provider for PKCS#11 sign requests through the agent.
// Debian has it since 13, and what the tests need is installed there.
func TestOpenSSLProvider(t *testing.T) {
	provider, err := filepath.Glob("/usr/lib/*/ossl-modules/pkcs11.so")
	if err != nil {
		t.Fatal(err)
	}
	if len(provider) == 0 {
		return
	}
	for _, c := range []keysOn{openPGPRSA, openPGPEC, pivCard, myEID, softHSMToken} {
		t.Run(c.name, func(t *testing.T) {
			d, _ := newCardDesk(t, c)
			d.Setenv("OPENSSL_CONF", d.Write("provider.conf", `openssl_conf = init
[init]
providers = providers
[providers]
default = on
pkcs11 = pkcs11
[on]
activate = 1
[pkcs11]
pkcs11-module-path = `+module+`
activate = 1
[req]
distinguished_name = name
[name]
`, 0o600))
			for _, k := range c.keys {
				if !k.can("sign") {
					continue
				}
				uri := "pkcs11:token=" + escapedLabel(d.labelOf(c, k)) + ";id=%" + k.id + ";type=private"
				if got := d.VerifyRequest(d.Run("openssl", "req", "-new", "-sha256", "-key", uri, "-subj", "/CN=Floppy Head")); got.Subject != "CN=Floppy Head" || got.PublicKey != string(d.Read(k.public())) {
					t.Errorf("another request: %+v", got)
				}
			}
			stack.Judged(t, "OpenSSL's provider", "the agent with "+c.name, "signs")
		})
	}
}
