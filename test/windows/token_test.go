//go:build stack

package windows

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// testToken takes a token from blank to certificate through a PKCS#11 module for Windows,
// which is in a directory whose name is not ASCII.
func testToken(t *testing.T, m *machine) {
	d := m.desk(t)
	module := filepath.Join(filepath.Dir(d.Write("Münzen/.keep", "", 0o600)), "token.dll")
	m.Library(t, module, "testdata/token.c", "-lbcrypt")
	d.Setenv("CARD_TOKEN", d.Path("token"))
	d.Setenv("CARDCTL_MODULE", module)
	d.Setenv("CARDCTL_PIN", stack.UserPIN)
	d.Setenv("CARDCTL_SO_PIN", stack.AdminPIN)
	const key = "pkcs11:token=desk;object=vpn"

	d.windows("init", "--app", "pkcs11", "--label", "desk", "--yes")
	if listed := d.windows("list-tokens"); !strings.Contains(listed, "desk") || !strings.Contains(listed, "0123456789ABCDEF") {
		t.Errorf("list-tokens:\n%s", listed)
	}
	d.windows("gen-key", "--key", key, "--algorithm", "p256")
	d.windows("gen-csr", "--key", key, "--subject", "CN=Anna Example,O=Example", "--out", "token.csr")
	d.Run("openssl", "req", "-in", "token.csr", "-noout", "-verify")
	d.windows("import-cert", "--key", key, "--ca", d.Path("ca.pem"), d.Authority().Sign("token.csr"))
	var info stack.Info
	d.decode(d.windows("info", "--app", "pkcs11", "-o", "json"), &info)
	if len(info.Certificates) != 1 || !info.Certificates[0].MatchesKey {
		t.Errorf("info: %+v", info)
	}
	d.windows("smoke-test", "--key", key, "--tls")

	const rsa = "pkcs11:token=desk;object=rsa"
	d.windows("gen-key", "--key", rsa, "--algorithm", "rsa2048")
	d.windows("gen-csr", "--key", rsa, "--subject", "CN=Anna Example,O=Example", "--out", "rsa.csr")
	d.Run("openssl", "req", "-in", "rsa.csr", "-noout", "-verify")
	d.windows("import-cert", "--key", rsa, "--ca", d.Path("ca.pem"), d.Authority().Sign("rsa.csr"))
	d.windows("smoke-test", "--key", rsa)
	d.fails(7, "PSS", "", "gen-csr", "--key", rsa, "--subject", "CN=Anna Example", "--pss")

	// The shell of Windows gets the command as it is written.
	inQuotes := `command:"C:\windows\system32\cmd.exe" /c "echo ` + stack.UserPIN + `"`
	d.windows("gen-csr", "--key", key, "--subject", "CN=Anna Example", "--pin", inQuotes)
	d.Setenv("CARDCTL_PIN", "999999")
	d.fails(4, "CKR_PIN_INCORRECT", "Error", "gen-csr", "--key", key, "--subject", "CN=Anna Example")

	d.Setenv("CARDCTL_MODULE", m.System("winscard.dll"))
	d.fails(8, "is not a PKCS#11 module", "C_GetFunctionList", "list-tokens")
	broken := d.Write("broken.dll", "MZ", 0o600)
	d.Setenv("CARDCTL_MODULE", broken)
	d.fails(8, "is not a PKCS#11 module", "shared library", "list-tokens")
}
