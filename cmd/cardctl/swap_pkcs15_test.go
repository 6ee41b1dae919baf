//go:build unix

package main

import (
	"slices"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
)

// TestSwappedPKCS15Card has another card in the reader at every moment of every
// workflow with PKCS#15 cards, while programs of OpenSC run and between them.
func TestSwappedPKCS15Card(t *testing.T) {
	for name, k := range map[string]struct {
		application string
		puk         string
		so          []string // flags of init for a card with an SO PIN
		same        bool
	}{
		"IsoApplet": {"pkcs15", "1234567890123456", nil, true},
		"MyEID":     {"myeid", "12345678", []string{"so-pin"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			fresh := []string{"init --app pkcs15 --label desk --yes --pin env:P15_PIN --puk env:P15_PUK"}
			if k.so != nil {
				fresh[0] += " --so-pin env:P15_SO_PIN"
			}
			withKey := slices.Concat(fresh, []string{"gen-key -k PKCS15.45 -a p256 --pin env:P15_PIN"})
			withFile := slices.Concat(fresh, []string{"gen-key -k PKCS15.45 -a rsa2048 --pin env:P15_PIN", "gen-csr -k PKCS15.45 --pin env:P15_PIN --subject CN=a --self-signed --days 2 --out $W/a.pem --yes"})
			withCert := slices.Concat(withFile, []string{"import-cert -k PKCS15.45 $W/a.pem --pin env:P15_PIN"})
			another := slices.Concat(withCert, []string{"gen-csr -k PKCS15.45 --pin env:P15_PIN --subject CN=b --self-signed --days 2 --out $W/b.pem --yes"})
			first := slices.Concat(k.so, []string{"pin", "puk"})
			pin := []string{"pin"}
			workflows := map[string]swap{
				"init of a blank card":       {command: "init --app pkcs15", secrets: first},
				"init of a used card":        {before: withCert, command: "init --app pkcs15 --allow-unknown-tries", secrets: first},
				"set-pin user":               {before: fresh, command: "set-pin user --app pkcs15", secrets: []string{"pin", "new-pin"}},
				"unblock-pin":                {before: fresh, command: "unblock-pin --app pkcs15 --allow-unknown-tries", secrets: []string{"puk", "new-pin"}},
				"gen-key":                    {before: fresh, command: "gen-key -k PKCS15.45 -a p256", secrets: pin},
				"gen-key, replacing":         {before: withKey, command: "gen-key -k PKCS15.45 -a p256 --replace $F15", secrets: pin},
				"import-key":                 {before: fresh, command: "import-key -k PKCS15.45 $W/key.pem", secrets: pin},
				"gen-csr":                    {before: withFile, command: "gen-csr -k PKCS15.45 --subject CN=a", secrets: pin},
				"gen-csr, the key is chosen": {before: withFile, command: "gen-csr --subject CN=a", secrets: pin},
				"import-cert":                {before: withFile, command: "import-cert -k PKCS15.45 $W/a.pem", secrets: pin},
				"import-cert, replacing":     {before: another, command: "import-cert -k PKCS15.45 $W/b.pem", secrets: pin},
				"delete-cert":                {before: withCert, command: "delete-cert -k PKCS15.45", secrets: pin},
				"delete-key":                 {before: withKey, command: "delete-key -k PKCS15.45 --fingerprint $F15", secrets: pin},
			}
			if k.so != nil {
				workflows["set-pin so"] = swap{before: fresh, command: "set-pin so --app pkcs15", secrets: []string{"so-pin", "new-pin"}}
			}
			swapAll(t, kindOfCard{
				name: name, options: cardsim.Options{Applications: []string{k.application}}, same: k.same,
				vars:    []string{"P15_PIN=246813", "P15_PUK=" + k.puk, "P15_SO_PIN=87654321"},
				secrets: map[string]string{"pin": "246813", "puk": k.puk, "so-pin": "87654321", "new-pin": "904412"},
			}, workflows)
		})
	}
}
