//go:build stack

package enrolment

import (
	"encoding/json"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// provisioner is who answers for certificates of step-ca, as its configuration has it.
type provisioner map[string]any

// stepCA starts step-ca with these provisioners and a root of the desk's authority, and
// returns its port.
func stepCA(t *testing.T, d *stack.Desk, provisioners ...provisioner) string {
	t.Helper()
	d.Authority()
	d.Run("openssl", "req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", "intermediate.key", "-out", "intermediate.csr",
		"-subj", "/CN=Snake Oil Intermediate CA", "-addext", "basicConstraints=critical,CA:TRUE,pathlen:0", "-addext", "keyUsage=critical,keyCertSign,cRLSign")
	port := stack.FreePort(t)
	configuration, err := json.Marshal(map[string]any{
		"root": d.Path("ca.pem"), "crt": d.Authority().Sign(d.Path("intermediate.csr")), "key": d.Path("intermediate.key"),
		"address": "localhost:" + port, "dnsNames": []string{"localhost"},
		"db":        map[string]string{"type": "bbolt", "dataSource": d.Path("step-ca.db")},
		"authority": map[string]any{"provisioners": provisioners},
	})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, d, port, "step-ca", d.Write("step-ca.json", string(configuration), 0o600))
	return port
}
