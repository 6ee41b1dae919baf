package piv

import (
	"context"
	"encoding/hex"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Values that init sets in these tests.
const (
	newPIN  = "648219"
	longPIN = "64821973"
	newPUK  = "73915824"
	newKey  = "5A17C0DE904C1B7782D3E6F0A1B2C3D4E5F60718293A4B5C"
)

// initialise does what the workflow does: it asks the question, collects the secrets and
// changes the card.
func (d *table) initialise(o card.InitOptions) (report card.InitReport, err error) {
	err = d.on(func(ctx context.Context, c *onCard) error {
		survey, err := c.Survey(ctx, o)
		if err != nil {
			return err
		}
		given := map[secret.Name]*secret.Bytes{}
		for _, need := range survey.Needs {
			if _, typed := d.pins[need.Request.Name]; !typed && need.Request.Optional {
				continue
			}
			value, err := c.access.Policy.Ask(ctx, need.Request, need.PIN)
			if err != nil {
				return err
			}
			given[need.Request.Name] = value
		}
		report, err = c.Initialise(ctx, survey, given)
		return err
	})
	return report, err
}

// fresh is a card that came from the factory, and what init shall set.
func fresh(t *testing.T, profile string) *table {
	t.Helper()
	d := newTable(t, profile)
	d.pins = map[secret.Name]string{secret.PIN: newPIN, secret.PUK: newPUK, secret.ManagementKey: newKey}
	return d
}

// used is a card that was initialised, with a key and a certificate.
func used(t *testing.T, profile string) *table {
	t.Helper()
	d := fresh(t, profile)
	d.pins[secret.PIN] = longPIN
	if _, err := d.initialise(card.InitOptions{}); err != nil {
		t.Fatal(err)
	}
	made := d.generated(app.Authentication, "")
	d.looking(func(ctx context.Context, c *onCard) error {
		return c.key(app.Authentication).PutCertificate(ctx, certificateFor(t, made.Public, 60), nil)
	})
	return d
}

// yubicos are the profiles that can be reset.
func yubicos() []string { return profiles()[1:] }

func TestInitialise(t *testing.T) {
	for _, profile := range yubicos() {
		t.Run(profile, func(t *testing.T) {
			d := used(t, profile)
			d.pins[secret.PIN], d.pins[secret.PUK] = "246813", "24681357"
			d.pins[secret.ManagementKey] = strings.ToLower(newKey[16:] + newKey[:16])
			report, err := d.initialise(card.InitOptions{})
			if err != nil || !report.Erased || report.PINs != "new" || report.ManagementKey == nil || len(report.FactoryValues) > 0 {
				t.Fatalf("%+v, %v", report, err)
			}
			if len(report.Lost) != 2 || !strings.Contains(report.Lost[0], "key PIV.9A (p256, ") || !strings.Contains(report.Lost[1], "certificate PIV.9A") {
				t.Errorf("lost %q", report.Lost)
			}
			d.looking(func(ctx context.Context, c *onCard) error {
				if report.Serial != c.Identity().Serial || report.Serial == "" {
					t.Errorf("serial %q, the card says %q", report.Serial, c.Identity().Serial)
				}
				if err := c.manage(ctx); err != nil {
					t.Error(err)
				}
				if err := c.unlock(ctx, false); err != nil {
					t.Error(err)
				}
				for _, object := range []app.Object{app.CHUID, app.CCC} {
					if content, err := c.app.GetData(ctx, object); err != nil || content == nil {
						t.Errorf("object %X: %X, %v", object, content, err)
					}
				}
				if now, err := c.key(app.Authentication).look(ctx); err != nil || now.state == present {
					t.Errorf("%+v, %v", now, err)
				}
				return nil
			})
			d.allow.UnknownTries = true
			d.pins[secret.NewPIN] = "65432109"
			if err := d.change(setting(pin.PUK)); err != nil {
				t.Error(err)
			}
		})
	}
}

// A card that says that everything is the factory's is not reset.
func TestInitialiseABlankCard(t *testing.T) {
	d := fresh(t, "piv-yubikey-5.7")
	report, err := d.initialise(card.InitOptions{PINTries: 5, PUKTries: 7})
	if err != nil || report.Erased {
		t.Fatalf("%+v, %v", report, err)
	}
	if slices.ContainsFunc(d.sent, func(cmd iso7816.Command) bool { return cmd.INS == 0xFB }) {
		t.Error("a blank card was reset")
	}
	d.looking(func(ctx context.Context, c *onCard) error {
		for ref, want := range map[app.PINReference]int{app.ApplicationPIN: 5, app.PUK: 7} {
			if m, err := c.about(ctx, byte(ref)); err != nil || m.Total != want || m.Left != want || *m.IsDefault {
				t.Errorf("%02X: %+v, %v", ref, m, err)
			}
		}
		return nil
	})
}

// What the card is to have afterwards can come from the factory.
func TestInitialiseWithFactoryPINs(t *testing.T) {
	d := used(t, "piv-yubikey-5")
	delete(d.pins, secret.ManagementKey)
	report, err := d.initialise(card.InitOptions{FactoryPINs: true})
	if err != nil || !slices.Equal(report.FactoryValues, []string{"PIN", "PUK", "management key"}) {
		t.Fatalf("%+v, %v", report, err)
	}
	d.looking(func(ctx context.Context, c *onCard) error {
		values, err := c.factoryValues(ctx)
		if !slices.Equal(values, report.FactoryValues) {
			t.Errorf("the card has %q", values)
		}
		return err
	})
}

// A random management key is in its file before the card has it, and the file is no
// other's.
func TestInitialiseGeneratesAKey(t *testing.T) {
	d := fresh(t, "piv-yubikey-5")
	file := filepath.Join(t.TempDir(), "key")
	d.answer = func(cmd iso7816.Command, answer []byte) []byte {
		if _, err := os.Stat(file); cmd.INS == 0xFF && err != nil {
			t.Error("the card got the key before the file")
		}
		return answer
	}
	report, err := d.initialise(card.InitOptions{Management: card.NewManagementKey{File: file, Algorithm: "aes256"}})
	if err != nil || report.ManagementKey.File != file || report.ManagementKey.Algorithm != "aes256" {
		t.Fatalf("%+v, %v", report, err)
	}
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	text, err := os.ReadFile(file)
	if err != nil || len(text) != 65 {
		t.Fatalf("%q, %v", text, err)
	}
	d.pins[secret.ManagementKey] = strings.TrimSpace(string(text))
	d.looking(func(ctx context.Context, c *onCard) error { return c.manage(ctx) })
	before := len(d.sent)
	if _, err := d.initialise(card.InitOptions{Management: card.NewManagementKey{File: file}}); !problem.Is(err, problem.Refused) {
		t.Error(err)
	}
	for _, cmd := range d.sent[before:] {
		if cmd.INS == 0xFB || cmd.INS == iso7816.InsVerify {
			t.Errorf("sent %02X", cmd.INS)
		}
	}
}

// A card of the standard is cleared by its management key, as far as it can be.
func TestClear(t *testing.T) {
	d := managed(t, "piv-nist")
	made := d.generated(app.Authentication, "")
	d.looking(func(ctx context.Context, c *onCard) error {
		return c.key(app.Authentication).PutCertificate(ctx, certificateFor(t, made.Public, 60), nil)
	})
	for name, o := range map[string]card.InitOptions{
		"PIN": {Named: []secret.Name{secret.PIN}}, "PUK": {Named: []secret.Name{secret.PUK}}, "management key": {Named: []secret.Name{secret.ManagementKey}},
		"random key": {Management: card.NewManagementKey{Protect: true}}, "tries": {PINTries: 4},
	} {
		if _, err := d.initialise(o); !problem.Is(err, problem.NotSupported) || !strings.Contains(err.Error(), "Nothing on the card was changed") {
			t.Errorf("%s: %v", name, err)
		}
	}
	d.pins[secret.CurrentManagementKey] = newKey
	if _, err := d.initialise(card.InitOptions{}); !problem.Is(err, problem.KeysIncorrect) {
		t.Error(err)
	}
	d.pins[secret.CurrentManagementKey] = factoryKey
	report, err := d.initialise(card.InitOptions{})
	if err != nil || report.PINs != "unchanged" || !strings.Contains(strings.Join(report.Stayed, " "), "key PIV.9A") ||
		len(report.Lost) != 1 || !strings.HasPrefix(report.Lost[0], "certificate PIV.9A (") {
		t.Fatalf("%+v, %v", report, err)
	}
	d.looking(func(ctx context.Context, c *onCard) error {
		if der, err := c.key(app.Authentication).Certificate(ctx); err != nil || der != nil {
			t.Errorf("%X, %v", der, err)
		}
		if c.Identity().Serial != report.Serial || report.Serial == "" {
			t.Errorf("serial %q, reported %q", c.Identity().Serial, report.Serial)
		}
		return c.unlock(ctx, false)
	})
}

// Every new value that the card would not take is refused before anything is sent.
func TestInitialiseRefusesValues(t *testing.T) {
	for name, test := range map[string]struct {
		secret secret.Name
		value  string
	}{
		"PIN of nine bytes": {secret.PIN, "123456789"}, "PIN of five bytes": {secret.PIN, "12345"}, "PUK of nine bytes": {secret.PUK, "123456789"},
		"short key": {secret.ManagementKey, "0102"}, "no hex": {secret.ManagementKey, strings.Repeat("0x", 24)}, "word": {secret.ManagementKey, storedKey},
	} {
		d := used(t, "piv-yubikey-5")
		d.pins[test.secret] = test.value
		before := len(d.sent)
		if _, err := d.initialise(card.InitOptions{}); !problem.Is(err, problem.Usage) {
			t.Errorf("%s: %v", name, err)
		}
		for _, cmd := range d.sent[before:] {
			if cmd.INS == 0xFB || cmd.INS == iso7816.InsVerify || cmd.INS == iso7816.InsChangeReferenceData {
				t.Errorf("%s: sent %02X", name, cmd.INS)
			}
		}
	}
}

// A card that does not reset itself says so before a try is used up, or else is left
// blocked with its keys, which is said.
func TestResetRefused(t *testing.T) {
	for name, test := range map[string]struct {
		profile, status string
		blocked         bool
		code            problem.Code
		says            string
	}{
		"no such command": {"piv-yubikey-5", "6D00", false, problem.NotSupported, key.Untouched},
		"never":           {"piv-reset-refused", "", true, problem.Failed, "PIN and PUK are blocked, and the keys are still on the card."},
		"unknown":         {"piv-yubikey-5", "6F00", false, problem.Failed, "It is not known whether the card is erased."},
		"fingerprints":    {"piv-bio", "", false, problem.NotSupported, key.Untouched},
	} {
		d := used(t, test.profile)
		d.answer = func(cmd iso7816.Command, answer []byte) []byte {
			if cmd.INS == 0xFB && test.status != "" {
				answer, _ = hex.DecodeString(test.status)
			}
			return answer
		}
		_, err := d.initialise(card.InitOptions{})
		if !problem.Is(err, test.code) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v", name, err)
		}
		d.answer = nil
		d.looking(func(ctx context.Context, c *onCard) error {
			m, err := c.about(ctx, byte(app.ApplicationPIN))
			if (m.Left == 0) != test.blocked {
				t.Errorf("%s: %d tries left", name, m.Left)
			}
			return err
		})
	}
}

// Guesses go on while tries fall, and after one that was right; a card that does not
// count ends them.
func TestBlock(t *testing.T) {
	for name, test := range map[string]struct {
		left  []int
		fails bool
	}{
		"three": {[]int{2, 1, 0}, false}, "right once": {[]int{2, accepted, 2, 1, 0}, false}, "many": {[]int{15, 15, 15, 14, 0}, false},
		"never": {[]int{2, 2, 0}, true}, "upwards": {[]int{1, 2, 0}, true},
	} {
		n := 0
		err := block(t.Context(), func(context.Context) (int, error) { n++; return test.left[n-1], nil })
		if (err != nil) != test.fails || !test.fails && n != len(test.left) {
			t.Errorf("%s: %v after %d", name, err, n)
		}
	}
}

// A card that says that it was reset, and was not, is not set up; one that was reset all
// the same is.
func TestResetThatIsNotWhatTheCardSays(t *testing.T) {
	for _, profile := range []string{"piv-yubikey-4", "piv-yubikey-5"} {
		d := used(t, profile)
		d.dropped = 0xFB
		_, err := d.initialise(card.InitOptions{})
		if !problem.Is(err, problem.Failed) || !strings.Contains(err.Error(), "The keys are still on the card.") {
			t.Errorf("%s, not reset: %v", profile, err)
		}
		d.dropped = 0
		resets := 0
		d.answer = func(cmd iso7816.Command, answer []byte) []byte {
			if cmd.INS != 0xFB {
				return answer
			}
			resets++
			return []byte{0x69, 0x85}
		}
		if report, err := d.initialise(card.InitOptions{}); err != nil || !report.Erased || resets != 2 {
			t.Errorf("%s, reset: %+v, %v after %d", profile, report, err, resets)
		}
	}
}

// What makes a card refuse other numbers of tries is looked at before a try is used up. The
// rules for PINs of such a card are kept, as far as they are known.
func TestFixedTries(t *testing.T) {
	for _, profile := range []string{"piv-bio-new", "piv-fips", "piv-pin-complexity"} {
		for _, inUse := range []bool{false, true} {
			d := fresh(t, profile)
			d.pins[secret.PIN] = longPIN
			if inUse {
				if _, err := d.initialise(card.InitOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			before := d.see()
			d.sent = nil
			_, err := d.initialise(card.InitOptions{PINTries: 5})
			if !problem.Is(err, problem.NotSupported) || !strings.Contains(err.Error(), key.Untouched) || !before.same(d.see()) {
				t.Errorf("%s, in use %v: %v", profile, inUse, err)
			}
			for _, cmd := range d.sent {
				if cmd.INS == 0xFB || cmd.INS == iso7816.InsVerify || cmd.INS == iso7816.InsChangeReferenceData {
					t.Errorf("%s: sent %02X", profile, cmd.INS)
				}
			}
			if _, err := d.initialise(card.InitOptions{}); err != nil {
				t.Errorf("%s, without other numbers: %v", profile, err)
			}
		}
	}
	d := used(t, "piv-fips")
	d.pins[secret.PIN] = newPIN
	before := d.see()
	if _, err := d.initialise(card.InitOptions{}); !problem.Is(err, problem.Usage) || !before.same(d.see()) {
		t.Errorf("a PIN of six characters: %v", err)
	}
	d = fresh(t, "piv-pin-complexity")
	d.pins[secret.PIN] = "11111111"
	if _, err := d.initialise(card.InitOptions{}); !problem.Is(err, problem.Usage) || !strings.Contains(err.Error(), "Its rules for PINs do not allow it.") {
		t.Errorf("a PIN of one character: %v", err)
	}
	d.pins[secret.PIN] = newPIN
	if _, err := d.initialise(card.InitOptions{}); err != nil {
		t.Errorf("another PIN: %v", err)
	}
}
