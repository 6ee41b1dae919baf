package piv

import (
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// setKey does what set-management-key does.
func (d *table) setKey(wish card.NewManagementKey) (report card.ManagementKeyReport, err error) {
	d.t.Helper()
	err = d.on(func(ctx context.Context, c *onCard) error {
		report, err = c.SetManagementKey(ctx, wish)
		return err
	})
	return report, err
}

// opens reports whether the card has a management key.
func (d *table) opens(name string) bool {
	d.t.Helper()
	d.pins[secret.ManagementKey] = name
	err := d.on(func(ctx context.Context, c *onCard) error { return c.manage(ctx) })
	if err != nil && !problem.Is(err, problem.KeysIncorrect) {
		d.t.Error(err)
	}
	return err == nil
}

func TestSetManagementKey(t *testing.T) {
	for _, profile := range yubicos() {
		t.Run(profile, func(t *testing.T) {
			d := managed(t, profile)
			d.pins[secret.NewManagementKey] = newKey
			report, err := d.setKey(card.NewManagementKey{Touch: true})
			if err != nil || !report.Touch || report.Protected || report.Algorithm != map[bool]string{false: "3des", true: "aes192"}[profile == "piv-yubikey-5.7"] {
				t.Fatalf("%+v, %v", report, err)
			}
			if d.opens(factoryKey) || !d.opens(newKey) {
				t.Error("the card has another key")
			}
			file := filepath.Join(t.TempDir(), "key")
			if report, err = d.setKey(card.NewManagementKey{File: file}); err != nil || report.File != file {
				t.Fatalf("%+v, %v", report, err)
			}
			text, err := os.ReadFile(file)
			if err != nil || d.opens(newKey) || !d.opens(strings.TrimSpace(string(text))) {
				t.Errorf("%q does not open the card, %v", text, err)
			}
		})
	}
	if _, err := managed(t, "piv-nist").setKey(card.NewManagementKey{Protect: true}); !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
}

// Each type of key is set on a card that has it, and refused without a change by others.
func TestManagementAlgorithms(t *testing.T) {
	for name, length := range map[string]int{"aes128": 32, "aes192": 48, "aes256": 64, "3des": 48} {
		d := managed(t, "piv-yubikey-5")
		d.pins[secret.NewManagementKey] = (newKey + newKey)[:length]
		if report, err := d.setKey(card.NewManagementKey{Algorithm: name}); err != nil || report.Algorithm != name {
			t.Errorf("%s: %+v, %v", name, report, err)
		}
		if !d.opens(d.pins[secret.NewManagementKey]) {
			t.Errorf("%s does not open the card", name)
		}
		d.pins[secret.NewManagementKey] += "00"
		if _, err := d.setKey(card.NewManagementKey{}); !problem.Is(err, problem.Usage) {
			t.Errorf("%s and a byte: %v", name, err)
		}
		old := managed(t, "piv-yubikey-4")
		old.pins[secret.NewManagementKey] = (newKey + newKey)[:length]
		_, err := old.setKey(card.NewManagementKey{Algorithm: name})
		if (err == nil) != (name == "3des") || err != nil && !problem.Is(err, problem.NotSupported) {
			t.Errorf("%s on a YubiKey 4: %v", name, err)
		}
		if err != nil && !old.opens(factoryKey) {
			t.Errorf("%s was refused, and the key is another", name)
		}
	}
	d := managed(t, "piv-yubikey-5")
	d.pins[secret.NewManagementKey] = newKey
	for _, algorithm := range []string{"aes256", "des"} {
		if _, err := d.setKey(card.NewManagementKey{Algorithm: algorithm}); !problem.Is(err, problem.Usage) || !d.opens(factoryKey) {
			t.Errorf("%s: %v", algorithm, err)
		}
	}
	d.pins[secret.ManagementKey] = newKey
	if _, err := d.setKey(card.NewManagementKey{}); !problem.Is(err, problem.KeysIncorrect) {
		t.Errorf("a wrong key: %v", err)
	}
}

// A key that the card keeps is where ykman looks for it, and is gone from there once the
// card has another.
func TestProtectedKey(t *testing.T) {
	for _, profile := range yubicos() {
		d := managed(t, profile)
		if _, err := d.setKey(card.NewManagementKey{Protect: true}); err != nil {
			t.Fatalf("%s: %v", profile, err)
		}
		if d.opens(factoryKey) || !d.opens(storedKey) {
			t.Errorf("%s: the stored key does not open the card", profile)
		}
		stored := d.read(app.Printed)
		if admin := d.read(app.Administration); hex.EncodeToString(admin) != "8003810102" || len(stored) != 28 || stored[0] != 0x88 || stored[2] != 0x89 {
			t.Errorf("%s: administration %X, %d bytes of printed information", profile, admin, len(stored))
		}
		if _, err := d.setKey(card.NewManagementKey{Protect: true}); err != nil || !d.opens(storedKey) {
			t.Errorf("%s: again: %v", profile, err)
		}
		d.pins[secret.ManagementKey], d.pins[secret.NewManagementKey] = storedKey, newKey
		if _, err := d.setKey(card.NewManagementKey{}); err != nil || !d.opens(newKey) {
			t.Errorf("%s: from a protected key: %v", profile, err)
		}
		if admin, printed := d.read(app.Administration), d.read(app.Printed); hex.EncodeToString(admin) != "8003810100" || hex.EncodeToString(printed) != "8800" {
			t.Errorf("%s: %X and %X stay", profile, admin, printed)
		}
		d.pins[secret.ManagementKey] = storedKey
		if err := d.on(func(ctx context.Context, c *onCard) error { return c.manage(ctx) }); !problem.Is(err, problem.NotFound) {
			t.Errorf("%s: no key is kept: %v", profile, err)
		}
	}
}

// read is the content of an object, with the PIN.
func (d *table) read(object app.Object) (content []byte) {
	d.t.Helper()
	d.looking(func(ctx context.Context, c *onCard) (err error) {
		if err := c.unlock(ctx, false); err != nil {
			return err
		}
		content, err = c.app.GetData(ctx, object)
		return err
	})
	return content
}

// Printed information that is not a key is not written over.
func TestProtectedKeyLeavesPrintedInformation(t *testing.T) {
	d := managed(t, "piv-yubikey-5")
	d.another(func(o *tool) { o.put("5FC109", unhex(t, "0104486561640208")) })
	if _, err := d.setKey(card.NewManagementKey{Protect: true}); !problem.Is(err, problem.Refused) || !d.opens(factoryKey) {
		t.Error(err)
	}
}

// At whatever command the change of a stored key is cut, the key that the card has then is
// one that it keeps, and the same command completes the change.
func TestProtectedKeyIsNeverLost(t *testing.T) {
	for _, before := range []string{factoryKey, storedKey} {
		for cut := 1; ; cut++ {
			d := managed(t, "piv-yubikey-5")
			if before == storedKey {
				if _, err := d.setKey(card.NewManagementKey{Protect: true}); err != nil {
					t.Fatal(err)
				}
			}
			d.pins[secret.ManagementKey] = before
			n := 0
			d.cut = func(cmd iso7816.Command) bool {
				if cmd.INS == iso7816.InsPutDataOdd || cmd.INS == 0xFF {
					n++
				}
				return n == cut
			}
			_, err := d.setKey(card.NewManagementKey{Protect: true})
			done := n < cut
			if d.cut = nil; done {
				if err != nil {
					t.Error(err)
				}
				break
			}
			if err == nil || !d.opens(before) && !d.opens(storedKey) {
				t.Fatalf("from %s, cut at %d: no key opens the card: %v", before, cut, err)
			}
			if _, err := d.setKey(card.NewManagementKey{Protect: true}); err != nil || !d.opens(storedKey) {
				t.Errorf("from %s, cut at %d: %v", before, cut, err)
			}
		}
	}
}

// The file of a key that the card certainly does not have goes; of any other it stays.
func TestFileOfTheKey(t *testing.T) {
	for name, test := range map[string]struct {
		status string
		before bool // the card does not get the command
		kept   bool
		says   string
	}{
		"refused":             {"6A80", true, false, key.Untouched},
		"unclear, not done":   {"6F00", true, false, key.Untouched},
		"unclear, and done":   {"6F00", false, true, ""},
		"confirmed, not done": {"9000", true, true, stateNotAccepts},
	} {
		d := managed(t, "piv-yubikey-5")
		file := filepath.Join(t.TempDir(), "key")
		d.instead = func(cmd iso7816.Command) []byte {
			if cmd.INS == 0xFF && test.before {
				return unhex(t, test.status)
			}
			return nil
		}
		d.answer = func(cmd iso7816.Command, answer []byte) []byte {
			if cmd.INS == 0xFF {
				return unhex(t, test.status)
			}
			return answer
		}
		_, err := d.setKey(card.NewManagementKey{File: file})
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(file); (err == nil) != test.kept {
			t.Errorf("%s: %v", name, err)
		}
	}
}
