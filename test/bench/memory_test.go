//go:build stack

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/softhsm"
	"github.com/cardctl/cardctl/test/stack"
)

// mostMemory is what no command may have resident, in bytes.
const mostMemory = 40 << 20

// memoryJobs are all commands, in the order in which they find what they need.
// Those on a simulated card in process count that card in.
var memoryJobs = []string{
	"version", "completion bash", "list-readers", "info", "doctor",
	"init --yes", "gen-key -k OPENPGP.3 -a p256 --timeout 1m", "gen-csr -k OPENPGP.3 --subject CN=a --self-signed --days 2 --out a.pem",
	"import-cert -k OPENPGP.3 a.pem", "export-cert -k OPENPGP.3", "export-key -k OPENPGP.3", "info -o json",
	"smoke-test -k OPENPGP.3 -m opensc --tls", "list-tokens -m opensc",
	"delete-cert -k OPENPGP.3 --yes", "import-key -k OPENPGP.2 key.pem", "set-pin user --new-pin env:CARDCTL_PIN", "unblock-pin --new-pin env:CARDCTL_PIN",
	"init --app pkcs11 --yes --label memory -m softhsm2",
	"gen-key -k pkcs11:token=memory;object=k -a rsa2048 -m softhsm2", "gen-csr -k pkcs11:token=memory;object=k --subject CN=a -m softhsm2",
	"export-key -k pkcs11:token=memory;object=k -m softhsm2", "info --app pkcs11 -m softhsm2", "list-tokens -m softhsm2",
	"sim create java --applications gp", "sim list",
	"applet inspect $A/OpenPGP.cap", "applet list -r sim:java --card-keys default", "applet install $A/OpenPGP.cap -r sim:java --card-keys default",
	"applet delete D27600012401 --with-applets --yes -r sim:java --card-keys default",
	"applet set-keys --generate --keys-file java.keys --yes -r sim:java --card-keys default", "sim delete java --yes",
}

// TestMemory measures the peak memory of every command.
func TestMemory(t *testing.T) {
	d := stack.NewDesk(t)
	d.Card("memory", 0)
	config, err := softhsm.Configure(d.Path(""))
	if err != nil {
		t.Fatal(err)
	}
	d.Setenv(softhsm.Variable, config)
	d.Setenv("CARDCTL_SO_PIN", stack.AdminPIN)
	d.Setenv("CARDCTL_CURRENT_ADMIN_PIN", stack.AdminPIN)
	d.Run("openssl", "genpkey", "-algorithm", "rsa", "-pkeyopt", "rsa_keygen_bits:2048", "-out", "key.pem")
	if err := os.Chmod(d.Path("key.pem"), 0o600); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Abs("../../internal/cardsim/testdata")
	if err != nil {
		t.Fatal(err)
	}
	most, hungriest := int64(0), ""
	for _, line := range memoryJobs {
		r, usage := d.TryMeasured("cardctl", strings.Fields(strings.ReplaceAll(line, "$A", files))...)
		if r.Exit != 0 && line != "doctor" {
			t.Errorf("%v", r)
		}
		if usage.PeakMemory >= mostMemory {
			t.Errorf("%s: %.0f MiB", line, mebibytes(usage.PeakMemory))
		}
		if usage.PeakMemory > most {
			most, hungriest = usage.PeakMemory, line
		}
		t.Logf("%5.1f MiB  %s", mebibytes(usage.PeakMemory), line)
	}
	command, _, _ := strings.Cut(hungriest, " -")
	var table table
	table.row("command", "peak memory, MiB", "at most")
	table.row(fmt.Sprintf("the highest of %d commands: `cardctl %s`", len(memoryJobs), command), fmt.Sprintf("%.0f", mebibytes(most)), fmt.Sprintf("%.0f", mebibytes(mostMemory)))
	table.publish(t)
}
