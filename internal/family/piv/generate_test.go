package piv

import (
	"bytes"
	"context"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// managed is a card with its management key at hand.
func managed(t *testing.T, profile string) *table {
	t.Helper()
	d := newTable(t, profile)
	d.pins[secret.ManagementKey] = strings.Repeat("0102030405060708", 3)
	return d
}

// generate makes a key in a slot.
func (d *table) generate(slot app.Slot, spec key.Spec) (made *key.Generated, err error) {
	d.t.Helper()
	err = d.on(func(ctx context.Context, c *onCard) error {
		made, err = c.key(slot).Generate(ctx, spec)
		return err
	})
	return made, err
}

func (d *table) generated(slot app.Slot, algorithm key.Algorithm) *key.Generated {
	d.t.Helper()
	made, err := d.generate(slot, key.Spec{Algorithm: algorithm})
	if err != nil {
		d.t.Fatal(err)
	}
	return made
}

func TestGenerate(t *testing.T) {
	for _, profile := range profiles() {
		t.Run(profile, func(t *testing.T) {
			d := managed(t, profile)
			made := d.generated(app.Authentication, "")
			if made.Algorithm != key.P256 || made.Fingerprint != pubkey.Fingerprint(made.Public) || len(made.Keygrip) != 40 {
				t.Errorf("%+v", made)
			}
			if made.Unreported != (profile == "piv-nist") {
				t.Errorf("unreported: %v", made.Unreported)
			}
			if len(d.asked) != 1 || d.asked[0] != secret.ManagementKey {
				t.Errorf("asked %v", d.asked)
			}
			d.looking(func(ctx context.Context, c *onCard) error {
				public, err := c.key(app.Authentication).Public(ctx)
				if made.Unreported {
					if !problem.Is(err, problem.NotFound) {
						t.Error(err)
					}
					return nil
				}
				if err != nil || !pubkey.Same(public, made.Public) {
					t.Errorf("%v, %v", public, err)
				}
				return nil
			})
		})
	}
}

// Algorithms are asked of the card, and what it does not have leaves the slot alone.
func TestGenerateWhatTheCardLacks(t *testing.T) {
	d := managed(t, "piv-yubikey-5")
	before := d.generated(app.Authentication, key.P256)
	for _, spec := range []key.Spec{{Algorithm: key.Ed25519}, {Algorithm: key.X25519}, {Algorithm: key.RSA4096}, {Algorithm: key.P521}} {
		if _, err := d.generate(app.Authentication, spec); !problem.Is(err, problem.NotSupported) {
			t.Errorf("%+v: %v", spec, err)
		}
	}
	for _, spec := range []key.Spec{{Label: "mine"}, {Algorithm: key.P256, Usage: []key.Usage{key.Decrypt}}, {Algorithm: key.RSA2048, Usage: []key.Usage{key.Derive}}} {
		if _, err := d.generate(app.Authentication, spec); !problem.Is(err, problem.NotSupported) {
			t.Errorf("%+v: %v", spec, err)
		}
	}
	d.looking(func(ctx context.Context, c *onCard) error {
		o, err := c.key(app.Authentication).Occupant(ctx)
		if err != nil || o.Fingerprint != before.Fingerprint {
			t.Errorf("%+v, %v", o, err)
		}
		return nil
	})
	if _, err := managed(t, "piv-yubikey-4").generate(app.Signature, key.Spec{Algorithm: key.RSA2048}); !problem.Is(err, problem.NotSupported) || !strings.Contains(err.Error(), "CVE-2017-15361") {
		t.Error(err)
	}
	if _, err := managed(t, "piv-nist").generate(app.Slot(0x82), key.Spec{}); !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
	if _, err := managed(t, "piv-nist").generate(app.Authentication, key.Spec{PINPolicy: "once"}); !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
}

func TestPoliciesAreKept(t *testing.T) {
	d := managed(t, "piv-yubikey-5.7")
	if _, err := d.generate(app.KeyManagement, key.Spec{PINPolicy: "always", TouchPolicy: "cached"}); err != nil {
		t.Fatal(err)
	}
	d.looking(func(ctx context.Context, c *onCard) error {
		o, err := c.key(app.KeyManagement).Occupant(ctx)
		if err != nil || o.PINPolicy != "always" || o.TouchPolicy != "cached" || !o.Touch || o.Origin != "generated" {
			t.Errorf("%+v, %v", o, err)
		}
		return err
	})
}

// The certificate of the key before goes with it; one without a key stays.
func TestStaleCertificate(t *testing.T) {
	for _, profile := range profiles() {
		d := managed(t, profile)
		d.generated(app.Authentication, key.P256)
		content, der := certificateObject(t)
		d.another(func(o *tool) { o.put("5FC105", content) })
		made := d.generated(app.Authentication, key.P384)
		if !bytes.Equal(made.StaleCertificate, der) {
			t.Errorf("%s: %X", profile, made.StaleCertificate)
		}
		d.looking(func(ctx context.Context, c *onCard) error {
			der, err := c.key(app.Authentication).Certificate(ctx)
			if der != nil || err != nil {
				t.Errorf("%s: %X, %v", profile, der, err)
			}
			return nil
		})
	}
	d := managed(t, "piv-yubikey-5")
	content, _ := certificateObject(t)
	d.another(func(o *tool) { o.put("5FC105", content) })
	if _, err := d.generate(app.Authentication, key.Spec{}); !problem.Is(err, problem.Refused) || len(d.asked) > 0 {
		t.Errorf("%v, asked %v", err, d.asked)
	}
}

func TestManagementKeys(t *testing.T) {
	factory := strings.Repeat("0102030405060708", 3)
	for value, want := range map[string]problem.Code{
		factory: "", factoryKey: "", strings.Repeat("0102030405060718", 3): problem.KeysIncorrect, factory + "0102030405060708": problem.KeysIncorrect,
		factory[:32]: problem.KeysIncorrect, "0102": problem.Usage, factory[:47] + "x": problem.Usage, "123456": problem.Usage,
	} {
		for _, profile := range profiles() {
			d := newTable(t, profile)
			d.pins[secret.ManagementKey] = value
			_, err := d.generate(app.Authentication, key.Spec{})
			if want == "" && err != nil || want != "" && !problem.Is(err, want) {
				t.Errorf("%s with %s: %v", profile, value, err)
			}
			if err != nil && strings.Contains(err.Error(), value) {
				t.Errorf("the key is repeated: %v", err)
			}
			if want == problem.Usage {
				for _, cmd := range d.sent {
					if cmd.INS == 0x87 && cmd.P2 == app.ManagementKey {
						t.Errorf("%s: something was sent", value)
					}
				}
			}
		}
	}
	d := newTable(t, "piv-yubikey-5")
	if _, err := d.generate(app.Authentication, key.Spec{}); !problem.Is(err, problem.Usage) {
		t.Error(err)
	}
}

// AES keys are proved as well, and a card that does not prove that it has the key is not
// written to.
func TestManagementKeyIsProvedBothWays(t *testing.T) {
	aes := strings.Repeat("C122", 16)
	d := managed(t, "piv-yubikey-5")
	d.another(func(o *tool) { o.send(0xFF, 0xFF, 0xFF, "0C9B20"+aes) })
	d.pins[secret.ManagementKey] = aes
	d.generated(app.Authentication, key.P256)

	d = managed(t, "piv-yubikey-5")
	d.answer = func(cmd iso7816.Command, answer []byte) []byte {
		if cmd.INS == 0x87 && len(answer) > 2 && answer[2] == 0x82 {
			answer = bytes.Clone(answer)
			answer[5] ^= 1
		}
		return answer
	}
	if _, err := d.generate(app.Authentication, key.Spec{}); !problem.Is(err, problem.Mismatch) {
		t.Error(err)
	}
	d.answer = nil
	if got := d.occupants()["PIV.9A"]; got != "empty" {
		t.Errorf("the slot has %s", got)
	}
	// A card without the mutual form.
	d = managed(t, "piv-nist")
	d.answer = func(cmd iso7816.Command, answer []byte) []byte {
		if cmd.INS == 0x87 && bytes.Contains(cmd.Data, []byte{0x80, 0x00}) {
			return unhex(t, "6A80")
		}
		return answer
	}
	d.generated(app.Authentication, key.P256)
}

// A slot that got another key while somebody typed is left alone, where the card tells.
func TestKeyThatCameMeanwhile(t *testing.T) {
	d := managed(t, "piv-yubikey-5")
	done := false
	d.waiting = func() {
		if !done {
			done = true
			d.another(func(o *tool) { o.send(0x47, 0, 0x9A, "AC03800114") })
		}
	}
	if _, err := d.generate(app.Authentication, key.Spec{}); !problem.Is(err, problem.Refused) {
		t.Error(err)
	}
	d.waiting = nil
	if got := d.occupants()["PIV.9A"]; got != "p384 generated once" {
		t.Errorf("the slot has %s", got)
	}
}

// What is in the slot after an answer that says nothing is read again.
func TestStateAfterGenerate(t *testing.T) {
	for answered, test := range map[string]struct {
		before bool
		want   string
	}{
		"6F00": {true, stateMade}, "6581": {false, stateMade}, "6982": {true, key.Untouched},
	} {
		d := managed(t, "piv-yubikey-5")
		if test.before {
			d.generated(app.Authentication, key.P256)
		}
		d.answer = func(cmd iso7816.Command, answer []byte) []byte {
			if cmd.INS == iso7816.InsGenerateKeyPair {
				return unhex(t, answered)
			}
			return answer
		}
		if _, err := d.generate(app.Authentication, key.Spec{}); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", answered, err)
		}
	}
	d := managed(t, "piv-nist")
	d.answer = func(cmd iso7816.Command, answer []byte) []byte {
		if cmd.INS == iso7816.InsGenerateKeyPair {
			return unhex(t, "6F00")
		}
		return answer
	}
	if _, err := d.generate(app.Authentication, key.Spec{}); err == nil || !strings.Contains(err.Error(), stateUnknown) {
		t.Error(err)
	}
}
