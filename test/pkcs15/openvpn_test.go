//go:build stack

package pkcs15

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/p11"
)

// info names a certificate to OpenVPN as OpenVPN itself does, and says with which module.
func TestOpenVPN(t *testing.T) {
	module, err := p11.DefaultPlaces().Locate("opensc")
	if err != nil {
		t.Fatal(err)
	}
	for application, secrets := range map[string]map[string]string{
		"pkcs15": {"PIN": userPIN, "PUK": puk},
		"myeid":  {"PIN": userPIN, "PUK": "12345678", "SO_PIN": "87654321"},
	} {
		t.Run(application, func(t *testing.T) {
			b := benchWithoutCard(t)
			b.desk.Card("desk", reader, "--applications", application)
			for name, value := range secrets {
				b.desk.Setenv("CARDCTL_"+name, value)
			}
			b.desk.Setenv("OPENSC_DRIVER", map[string]string{"pkcs15": "isoApplet", "myeid": "myeid"}[application])
			for _, label := range []string{"desk", "Snake Oil, Ltd: web/server #12", "Bürogrößenüberschätzung", "a\\b 'c'"} {
				b.desk.Run("cardctl", "init", "--app", "pkcs15", "--yes", "--label", label, "--allow-unknown-tries")
				for _, id := range []string{"45", "0A0B"} {
					b.desk.Run("cardctl", "gen-key", "--key", "PKCS15."+id, "--algorithm", "rsa2048", "--label", "a key")
					b.desk.Run("cardctl", "gen-csr", "--key", "PKCS15."+id, "--subject", "CN=vpn", "--self-signed", "--days", "2", "--out", b.desk.Path("vpn"+id))
					b.desk.Run("cardctl", "import-cert", "--key", "PKCS15."+id, "vpn"+id)
				}
				var info struct {
					Certificates []struct{ SerializedID, Module string }
				}
				if err := json.Unmarshal([]byte(b.desk.Run("cardctl", "info", "-o", "json")), &info); err != nil {
					t.Fatal(err)
				}
				listed := b.desk.Run("openvpn", "--show-pkcs11-ids", module)
				if n := strings.Count(listed, "Serialized id:"); n != len(info.Certificates) || n != 2 {
					t.Errorf("%q: openvpn lists %d certificates, info %d\n%s", label, n, len(info.Certificates), listed)
				}
				for _, c := range info.Certificates {
					if c.SerializedID == "" || c.Module != module || !strings.Contains(listed, "Serialized id:  "+c.SerializedID+"\n") {
						t.Errorf("%q: info has %q, openvpn\n%s", label, c.SerializedID, listed)
					}
				}
			}
		})
	}
}
