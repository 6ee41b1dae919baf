//go:build stack

package bench

import (
	"crypto/sha256"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/softhsm"
	"github.com/cardctl/cardctl/test/stack"
)

// TestCallsToAModule counts what commands ask of a module, with OpenSC's spy between
// both: it does not grow with the token.
func TestCallsToAModule(t *testing.T) {
	const most = "at most"
	jobs := []struct {
		name, limit string
		most        int
	}{
		{"gen-key", most, 40}, {"gen-key --replace", most, 40}, {"gen-csr", most, 40}, {"import-cert, with its issuer", most, 40}, {"import-cert, again", most, 40},
		{"import-key", most, 40}, {"smoke-test, one signature", most, 25}, {"export-cert", most, 40}, {"list-tokens", most, 12},
		{"info, without reading objects", most, 40},
	}
	var counts [2][]int
	for i, keys := range []int{10, 1000} {
		counts[i] = callsWith(t, keys)
	}
	var table table
	table.row("calls to the module of a SoftHSM2 token, P-256", most, "10 keys", "1,000 keys")
	for i, job := range jobs {
		few, many := counts[0][i], counts[1][i]
		if few != many || few > job.most {
			t.Errorf("%s: %d calls with 10 keys, %d with 1,000, at most %d", job.name, few, many, job.most)
		}
		table.row("`cardctl "+strings.Replace(job.name, ",", "`,", 1)+map[bool]string{true: "", false: "`"}[strings.Contains(job.name, ",")],
			fmt.Sprint(job.most), fmt.Sprint(few), fmt.Sprint(many))
	}
	table.publish(t)
}

// callsWith are the calls of each job on a token with so many keys.
func callsWith(t *testing.T, keys int) []int {
	d := stack.NewDesk(t)
	memory, err := os.MkdirTemp("/dev/shm", "cardctl") // SoftHSM2 waits for the disk at each key
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(memory) })
	config, err := softhsm.Configure(memory)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(softhsm.Variable, config)
	d.Setenv(softhsm.Variable, config)
	d.Setenv("CARDCTL_PIN", tokenPIN)
	d.Setenv("CARDCTL_SO_PIN", "officer-2846")
	d.Setenv("CARDCTL_MODULE", module)
	d.Run("cardctl", "init", "--app", "pkcs11", "--label", "desk", "--yes")
	if err := softhsm.Fill(t.Context(), "desk", tokenPIN, keys); err != nil {
		t.Fatal(err)
	}
	ca := d.Authority()
	d.Write("imported.pem", d.Run("openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"), 0o600)
	const named = "pkcs11:token=desk;object="
	byID := idOf("key2", d.Run("pkcs11-tool", "--module", module, "--token-label", "desk", "--list-objects", "--type", "pubkey"))
	request := []string{"gen-csr", "--key", named + "key1", "--subject", subject}
	issued := ca.Sign(d.Write("request", d.Run("cardctl", request...), 0o600))
	chain := d.Write("chain.pem", d.Run("cat", issued, "ca.pem"), 0o600)

	const replaced = named + "replaced"
	d.Run("cardctl", "gen-key", "--key", replaced, "--algorithm", "p256")
	d.Write("public.der", d.Run("cardctl", "export-key", "--key", replaced, "--format", "der"), 0o600)
	fingerprint := fmt.Sprintf("%X", sha256.Sum256(d.Read("public.der")))

	counted := []int{
		countCalls(d, "gen-key", "--key", named+"new", "--algorithm", "p256"),
		countCalls(d, "gen-key", "--key", replaced, "--algorithm", "p256", "--replace", fingerprint),
		countCalls(d, request...),
		countCalls(d, "import-cert", "--key", named+"key1", chain),
		countCalls(d, "import-cert", "--key", named+"key1", chain),
		countCalls(d, "import-key", "--key", named+"imported", "imported.pem"),
		countCalls(d, "smoke-test", "--key", "pkcs11:token=desk;id="+byID),
		countCalls(d, "export-cert", "--key", named+"key1"),
		countCalls(d, "list-tokens"),
	}
	const certificates = 2
	all := countCalls(d, "info", "--app", "pkcs11")
	reads := strings.Count(string(d.Read("spy")), ": C_GetAttributeValue\n")
	if objects := keys + 3 + certificates; reads != objects {
		t.Errorf("info reads %d objects in %d calls", objects, reads)
	}
	searches := strings.Count(string(d.Read("spy")), ": C_FindObjects\n")
	return append(counted, all-reads-searches)
}

// idOf is the ID of the key with this label in what pkcs11-tool lists,
// percent-encoded. It lists all keys, whatever --label says.
func idOf(label, listed string) string {
	id := regexp.MustCompile(`label:\s+` + label + `\n\s+ID:\s+([0-9a-f]+)`).FindStringSubmatch(listed)[1]
	return regexp.MustCompile("..").ReplaceAllString(id, "%$0")
}

// countCalls has OpenSC's spy between cardctl and the module.
func countCalls(d *stack.Desk, args ...string) int {
	spyOn(d, args)
	return len(regexp.MustCompile(`(?m)^\d+: C_`).FindAll(d.Read("spy"), -1))
}
