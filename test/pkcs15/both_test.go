//go:build stack

package pkcs15

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// One card with both applications: each key is used through OpenSC's module, which
// by itself takes such a card for an IsoApplet.
func TestACardWithBothApplications(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("both", reader, "--applications", "openpgp,pkcs15")
	d.Setenv("CARDCTL_PUK", puk)
	if refused := d.Refused("init", "--yes"); refused.Exit != 3 || !strings.Contains(refused.Hint, "--app APPLICATION") {
		t.Errorf("init of neither: %+v", refused)
	}
	d.Run("cardctl", "init", "--app", "openpgp", "--yes")
	d.Run("cardctl", "init", "--app", "pkcs15", "--yes")
	for _, key := range []string{"OPENPGP.3", "PKCS15.45"} {
		d.Run("cardctl", "gen-key", "--key", key)
		d.Run("cardctl", "gen-csr", "--key", key, "--subject", "CN=both", "--self-signed", "--days", "2", "--out", d.Path("both.pem"))
		d.Run("cardctl", "import-cert", "--key", key, "both.pem")
		d.Run("cardctl", "smoke-test", "--key", key)
	}
	if info := d.Info(); len(info.Keys) != 2 || len(info.Certificates) != 2 {
		t.Errorf("info: %+v", info)
	}
}
