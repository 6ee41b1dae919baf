//go:build stack

package enrolment

import (
	"encoding/json"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// pebble starts Let's Encrypt's server for tests of ACME clients, which wants an external
// account binding, and returns its port.
func pebble(t *testing.T, d *stack.Desk) string {
	t.Helper()
	port := stack.FreePort(t)
	certificate, key := d.Authority().Server()
	configuration, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress":                  "localhost:" + port,
		"managementListenAddress":        "localhost:" + stack.FreePort(t),
		"certificate":                    certificate,
		"privateKey":                     key,
		"externalAccountBindingRequired": true,
		"externalAccountMACKeys":         map[string]string{"desk": pebbleMACKey},
	}})
	if err != nil {
		t.Fatal(err)
	}
	serve(t, d, port, "pebble", "-config", d.Write("pebble.json", string(configuration), 0o600))
	return port
}

const pebbleMACKey = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"
