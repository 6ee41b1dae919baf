//go:build unix

package main

import (
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
)

// TestSwappedPIVCard has another card in the reader at every moment of every workflow
// with PIV cards.
func TestSwappedPIVCard(t *testing.T) {
	withCert := slices.Concat(pivKey, []string{pivRequest, "import-cert -k PIV.9A $W/a.pem"})
	another := slices.Concat(withCert, []string{"gen-csr -k PIV.9A --subject CN=b --self-signed --days 2 --out $W/b.pem --yes"})
	managing := []string{"management-key"}
	swapAll(t, kindOfCard{
		name: "PIV", options: cardsim.Options{Profile: "piv-yubikey-5", Applications: []string{"piv"}},
		vars: pivVars("CARDCTL_PIN=" + userPIN),
		secrets: map[string]string{
			"pin": userPIN, "puk": pivPUK, "new-pin": "904412", "management-key": managementKey, "new-management-key": otherManagementKey,
		},
	}, map[string]swap{
		"init of a used card":               {before: withCert, command: "init --app piv", secrets: []string{"pin", "puk", "management-key"}},
		"set-pin user":                      {before: pivCard, command: "set-pin user --app piv", secrets: []string{"pin", "new-pin"}},
		"set-pin puk":                       {before: pivCard, command: "set-pin puk", secrets: []string{"puk", "new-pin=86421357"}},
		"unblock-pin":                       {before: pivCard, command: "unblock-pin --app piv", secrets: []string{"puk", "new-pin"}},
		"set-management-key":                {before: pivCard, command: "set-management-key", secrets: []string{"new-management-key", "management-key"}},
		"set-management-key, kept by a PIN": {before: pivCard, command: "set-management-key --protect-management-key", secrets: []string{"management-key", "pin"}},
		"gen-key":                           {before: pivCard, command: "gen-key -k PIV.9A", secrets: managing},
		"gen-key, replacing":                {before: pivKey, command: "gen-key -k PIV.9A --replace $PIV", secrets: managing},
		"gen-csr":                           {before: pivKey, command: "gen-csr -k PIV.9A --subject CN=a", secrets: []string{"pin"}},
		"gen-csr, the PIN for each use":     {before: slices.Concat(pivCard, []string{"gen-key -k PIV.9C"}), command: "gen-csr -k PIV.9C --subject CN=a", secrets: []string{"pin"}},
		"import-cert":                       {before: slices.Concat(pivKey, []string{pivRequest}), command: "import-cert -k PIV.9A $W/a.pem", secrets: managing},
		"import-cert, replacing":            {before: another, command: "import-cert -k PIV.9A $W/b.pem", secrets: managing},
		"delete-cert":                       {before: withCert, command: "delete-cert -k PIV.9A", secrets: managing},
	})
}
