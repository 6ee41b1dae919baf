//go:build stack

package provision

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// family is a script, and the card it is for.
type family struct {
	script string
	key    string
	create []string          // options of sim create
	env    map[string]string // what the script wants besides what all want
	fails  []string          // the commands that fail, one after the other
	// limited says that some TLS library cannot use the key.
	limited bool
}

var families = map[string]family{
	"OpenPGP": {
		script: "provision-openpgp.sh", key: "OPENPGP.3",
		fails: []string{"info", "init", "gen-key", "gen-csr", "sign", "import-cert", "smoke-test"},
	},
	"PKCS#15": {
		script: "provision-pkcs15.sh", key: "PKCS15.45", create: []string{"--applications", "pkcs15"}, limited: true,
		env:   map[string]string{"CARDCTL_PUK": "1357924680135792"},
		fails: []string{"info", "init", "gen-key", "gen-csr", "sign", "import-cert", "smoke-test"},
	},
	"Java card": {
		script: "provision-javacard.sh", key: "OPENPGP.3", create: []string{"--applications", "gp"},
		env:   map[string]string{"PROVISION_APPLET": repository("internal/cardsim/testdata/OpenPGP.cap"), "PROVISION_CARD_KEYS": "default"},
		fails: []string{"inspect", "list", "install", "info", "init", "gen-key", "gen-csr", "sign", "import-cert", "smoke-test"},
	},
}

func repository(path string) string {
	root, err := filepath.Abs("../..")
	if err != nil {
		panic(err)
	}
	return filepath.Join(root, path)
}

// TestFailureAtEachStep lets each command fail after it has done its work, which
// is when most can go wrong: nobody knows that it was done. Each call goes on
// where the one before ended.
func TestFailureAtEachStep(t *testing.T) {
	for name, f := range families {
		t.Run(name, func(t *testing.T) {
			d := desk(t, f)
			fingerprint := ""
			for _, command := range f.fails {
				d.Setenv("FAIL", command)
				exit, signing := 10, sign
				if command == "sign" {
					exit, signing = 1, "false"
				}
				d.Setenv("PROVISION_SIGN", signing)
				log := provision(t, d, f, exit)
				if last := log[len(log)-1]; last.Status != "failed" || last.Error.Exit != exit {
					t.Errorf("%s fails, and the log ends with %+v", command, last)
				}
				fingerprint = sameKey(t, d, f, fingerprint)
			}
			d.Setenv("FAIL", "")
			log := provision(t, d, f, 0)
			if last := log[len(log)-1]; last.Step != "provisioned" || last.Status != "done" {
				t.Errorf("the log ends with %+v", last)
			}
			if limited := slices.ContainsFunc(log, func(l line) bool { return l.Step == "tls" && l.Status == "skipped" && l.Error.Exit == 7 }); limited != f.limited {
				t.Errorf("no TLS with every library: %v, want %v: %+v", limited, f.limited, log)
			}
			done := sameKey(t, d, f, fingerprint)
			for _, pin := range d.Info().PINs {
				if pin.Blocked && pin.Name != "reset-code" || pin.TriesLeft != 3 && pin.Name == "user" {
					t.Errorf("a try of a PIN was lost: %+v", pin)
				}
			}

			for _, secret := range []string{stack.UserPIN, stack.AdminPIN, f.env["CARDCTL_PUK"]} {
				if secret != "" && strings.Contains(string(d.Read("environment")), secret) {
					t.Errorf("PROVISION_SIGN gets a PIN:\n%s", d.Read("environment"))
				}
			}

			// Once more: nothing is made again, and nothing is issued again.
			issued := string(d.Read("issued"))
			log = provision(t, d, f, 0)
			for _, step := range []string{"init", "gen-key"} {
				if !slices.ContainsFunc(log, func(l line) bool { return l.Step == step && l.Status == "skipped" }) {
					t.Errorf("%s was not skipped: %+v", step, log)
				}
			}
			sameKey(t, d, f, done)
			if again := string(d.Read("issued")); again != issued || issued != "x\n" {
				t.Errorf("the CA issued %q, then %q; want one certificate", issued, again)
			}
		})
	}
}

// sign is a CA that notes what it issues, and what it was told.
const sign = "echo x >>issued; env >environment; openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 7 -copy_extensions copyall"

// desk is a blank card in a reader, a CA, and a cardctl that can fail.
func desk(t *testing.T, f family) *stack.Desk {
	t.Helper()
	d := stack.NewDesk(t)
	d.Authority()
	d.Card("blank", 0, f.create...)
	d.Setenv("CARDCTL", d.Write("failing", `#!/bin/sh
cardctl "$@" || exit
for argument in "$@"; do
	[ "$argument" != "$FAIL" ] || exit 10
done
`, 0o700))
	d.Setenv("PROVISION_SUBJECT", "CN=Floppy Head,O=Snake Oil\\, Ltd")
	d.Setenv("PROVISION_EMAIL", "floppy.head@example.com")
	d.Setenv("PROVISION_SIGN", sign)
	d.Setenv("PROVISION_CA", "ca.pem")
	for name, value := range f.env {
		d.Setenv(name, value)
	}
	return d
}

// line is a line of the log.
type line struct {
	Time, Step, Status, Serial string
	Result                     json.RawMessage
	Error                      stack.ErrorDocument
}

// provision runs the script, and wants this exit status.
func provision(t *testing.T, d *stack.Desk, f family, exit int) []line {
	t.Helper()
	result := d.Try(repository("scripts/" + f.script))
	if result.Exit != exit {
		t.Fatalf("want exit status %d:\n%v", exit, result)
	}
	var log []line
	for text := range strings.Lines(result.Stdout) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%q in the log: %v", text, err)
		}
		log = append(log, l)
	}
	for _, pin := range []string{stack.UserPIN, stack.AdminPIN, f.env["CARDCTL_PUK"]} {
		if pin != "" && strings.Contains(result.Stdout+result.Stderr, pin) {
			t.Errorf("a PIN is in the log:\n%v", result)
		}
	}
	return log
}

// sameKey wants the key that was there before, if one was.
func sameKey(t *testing.T, d *stack.Desk, f family, before string) string {
	t.Helper()
	for _, k := range d.Info().Keys {
		if k.Ref == f.key {
			if before != "" && before != k.Fingerprint {
				t.Errorf("the key %s became %s", before, k.Fingerprint)
			}
			return k.Fingerprint
		}
	}
	if before != "" {
		t.Errorf("the key %s is gone", before)
	}
	return ""
}

// TestRefusals are calls that must not change a card.
func TestRefusals(t *testing.T) {
	f := families["OpenPGP"]
	d := desk(t, f)
	d.Setenv("FAIL", "")
	d.Setenv("PROVISION_SUBJECT", "")
	if log := provision(t, d, f, 2); log[0].Error.Message != "PROVISION_SUBJECT is not set" {
		t.Errorf("%+v", log)
	}
	d.Setenv("PROVISION_SUBJECT", "CN=Floppy Head")
	d.Run("cardctl", "init", "--yes")
	d.Run("cardctl", "gen-key", "--key", "OPENPGP.1")
	if log := provision(t, d, f, 9); log[len(log)-1].Step != "init" {
		t.Errorf("%+v", log)
	}
	d.Setenv("PROVISION_ERASE", "yes")
	provision(t, d, f, 0)
	if keys := d.Info().Keys; len(keys) != 1 || keys[0].Ref != f.key {
		t.Errorf("%+v", keys)
	}
}
