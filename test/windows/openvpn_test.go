//go:build stack

package windows

import (
	"encoding/base64"
	"encoding/pem"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// testOpenVPN runs a program that stands in for OpenVPN: it comes with its management
// interface to a port of the machine, and is told apart from others that do.
func testOpenVPN(t *testing.T, m *machine) {
	d := m.desk(t)
	module := d.Path("token.dll")
	m.Library(t, module, "testdata/token.c", "-lbcrypt")
	d.Setenv("CARD_TOKEN", d.Path("token"))
	d.Setenv("CARDCTL_MODULE", module)
	d.Setenv("CARDCTL_PIN", stack.UserPIN)
	d.Setenv("CARDCTL_SO_PIN", stack.AdminPIN)
	const key = "pkcs11:token=desk;object=vpn"
	d.windows("init", "--app", "pkcs11", "--label", "desk", "--yes")
	d.windows("gen-key", "--key", key, "--algorithm", "p256")
	d.windows("gen-csr", "--key", key, "--subject", "CN=Anna Example", "--self-signed", "--days", "7", "--out", "vpn.pem")
	d.windows("import-cert", "--key", key, "vpn.pem")
	var info struct {
		Certificates []struct{ SerializedID string }
	}
	d.decode(d.windows("info", "--app", "pkcs11", "-o", "json"), &info)
	block, _ := pem.Decode(d.Read("vpn.pem"))
	if block == nil || len(info.Certificates) != 1 || info.Certificates[0].SerializedID == "" {
		t.Fatalf("%+v", info)
	}
	id := info.Certificates[0].SerializedID

	d.Write("client.ovpn", "", 0o600)
	d.fails(3, "OpenVPN is not installed", "package openvpn", "openvpn", "client.ovpn")
	m.standsInForOpenVPN(t)
	asks := []string{
		`;hear hold "release"`, `;say >NEED-STR:Need 'pkcs11-id-request' string MSG:Please specify`, ";hear pid", ";say SUCCESS: pid=PID",
		";hear pkcs11-id-count", ";say >PKCS11ID-COUNT:1", `;hear pkcs11-id-get "0"`,
		";say >PKCS11ID-ENTRY:'0', ID:'" + id + "', BLOB:'" + base64.StdEncoding.EncodeToString(block.Bytes) + "'",
		`;hear needstr "pkcs11-id-request" "` + strings.ReplaceAll(id, `\`, `\\`) + `"`,
		";say >PASSWORD:Need 'desk token' password", `;hear password "desk token" "` + stack.UserPIN + `"`,
	}
	for name, args := range map[string][]string{"the only key": nil, "a key": {"--key", key}} {
		for _, more := range []string{"", ";impostor\n"} {
			d.Write("client.ovpn", more+strings.Join(append(asks, ";say >STATE:1,CONNECTED,SUCCESS,,,,,"), "\n")+"\n", 0o600)
			result := d.tried(append([]string{"openvpn", "client.ovpn"}, args...)...)
			if result.Exit != 0 || !strings.Contains(result.Stderr, "all was heard") || more != "" && !strings.Contains(result.Stderr, `another process heard ""`) {
				t.Errorf("%s: %v", name, result)
			}
		}
	}
	d.Write("client.ovpn", strings.Join(append(asks, ";say >PASSWORD:Need 'desk token' password", ";hear nothing"), "\n")+"\n", 0o600)
	d.fails(4, "wrong user PIN", "ended in order", "openvpn", "client.ovpn")
}

// standsInForOpenVPN installs the program where the installer of OpenVPN does.
func (m *machine) standsInForOpenVPN(t *testing.T) {
	t.Helper()
	program := filepath.Join(filepath.Dir(m.System("")), "../Program Files/OpenVPN/bin/openvpn.exe")
	if err := os.MkdirAll(filepath.Dir(program), 0o755); err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-o", program, "./testdata/openvpn")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build.Args, err, out)
	}
}
