package main

import (
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// newYubiKeyDesk has a YubiKey with OpenPGP.
func newYubiKeyDesk(t *testing.T, vars ...string) *testDesk {
	d := newDesk(t, vars...)
	d.must("sim", "delete", "desk", "--yes")
	d.must("sim", "create", "desk", "--profile", "openpgp-yubikey-5.7")
	return d
}

// keptCertificates are the files with certificates that statements were written over.
func (d *testDesk) keptCertificates() []string {
	d.t.Helper()
	names, err := filepath.Glob(filepath.Join(d.state, "certificates", "*"))
	if err != nil {
		d.t.Fatal(err)
	}
	return names
}

// TestPulledYubiKey pulls the card out while its tries, and with PULL_EVERY its KDF, are
// set up.
func TestPulledYubiKey(t *testing.T) {
	command := "init --yes --pin-tries 5"
	if everyPoint() {
		command += " --kdf"
	}
	pullAll(t, "OpenPGP of a YubiKey", map[string]pull{"init --pin-tries": {
		before: slices.Concat(initialised, []string{"gen-key -k OPENPGP.3"}), command: command, erases: true,
		done: func(t *testing.T, d *testDesk, info cardInfo) {
			if len(info.Keys) > 0 {
				t.Errorf("left over: %+v", info.Keys)
			}
			for _, p := range info.PINs {
				if p.Set && p.TriesLeft != 5 {
					t.Errorf("PIN %s: %d tries left", p.Name, p.TriesLeft)
				}
			}
			d.must("set-pin", "user", "--new-pin", "env:CARDCTL_PIN")
			d.must("set-pin", "admin", "--new-pin", "env:CARDCTL_ADMIN_PIN")
		},
	}}, newYubiKeyDesk)
}

// TestPulledWhileAttesting pulls the card out at every command and write of a statement:
// the certificate is on the card, or in a file, from which the same command brings it back.
func TestPulledWhileAttesting(t *testing.T) {
	var d *testDesk
	certified := slices.Concat(initialised, []string{
		"gen-key -k OPENPGP.3", "gen-csr -k OPENPGP.3 --subject CN=a --self-signed --days 2 --out $W/a.pem", "import-cert -k OPENPGP.3 $W/a.pem",
	})
	pullAll(t, "OpenPGP of a YubiKey", map[string]pull{"attest with the admin PIN": {
		before: certified, command: "attest -k OPENPGP.3",
		inFile: func(wanted string) bool {
			return slices.ContainsFunc(d.keptCertificates(), func(name string) bool {
				content, err := os.ReadFile(name)
				return err == nil && fmt.Sprintf("%X", sha256.Sum256(content)) == wanted
			})
		},
		done: func(t *testing.T, d *testDesk, _ cardInfo) {
			if left := d.keptCertificates(); len(left) > 0 {
				t.Errorf("left over: %q", left)
			}
			certificateOf("CN=a")(t, d, d.info())
		},
	}}, func(t *testing.T, vars ...string) *testDesk {
		d = newYubiKeyDesk(t, vars...)
		return d
	})
}
