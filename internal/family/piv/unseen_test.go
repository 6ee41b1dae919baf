package piv

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// unseen is what two signatures by a key cost that the caller expects to be a certain one:
// what was sent for each after the card was opened.
func (d *table) unseen(slot app.Slot, expected crypto.PublicKey) (sent []string, err error) {
	d.t.Helper()
	sum := sha256.Sum256([]byte("from the desk"))
	err = d.on(func(ctx context.Context, c *onCard) error {
		c.access.Expected = expected
		s, err := c.key(slot).Signer(ctx)
		if err != nil {
			return err
		}
		for range 2 {
			d.sent = nil
			signature, err := s.Sign(rand.Reader, sum[:], crypto.SHA256)
			sent = append(sent, d.instructions())
			if err != nil {
				return err
			}
			if !pubkey.Verify(expected, sum[:], signature, crypto.SHA256) {
				d.t.Error("wrong signature")
			}
		}
		return nil
	})
	return sent, err
}

// instructions are the instruction bytes of what was sent.
func (d *table) instructions() string {
	var names []string
	for _, cmd := range d.sent {
		names = append(names, fmt.Sprintf("%02X", cmd.INS))
	}
	return strings.Join(names, " ")
}

// cost is what the use of a key in a slot of a card sends.
type cost struct {
	profile string
	slot    app.Slot
	policy  string
	sent    string
}

// compare generates the key, and compares the cost of its use.
func (c cost) compare(t *testing.T, use func(t *testing.T, d *table, public crypto.PublicKey) (sent string, err error)) {
	t.Run(strings.Join([]string{c.profile, c.slot.String(), c.policy}, " "), func(t *testing.T) {
		d := managed(t, c.profile)
		made, err := d.generate(c.slot, key.Spec{Algorithm: key.P256, PINPolicy: c.policy})
		if err != nil {
			t.Fatal(err)
		}
		if sent, err := use(t, d, made.Public); err != nil || sent != c.sent {
			t.Errorf("%s, %v", sent, err)
		}
	})
}

// TestUnseenKeys are keys that the card is not asked about: the PIN is verified right
// before the use, or as the policy has it.
func TestUnseenKeys(t *testing.T) {
	for _, test := range []cost{
		{"piv-yubikey-5", app.Signature, "", "F7 20 87, 20 87"},
		{"piv-yubikey-5", app.Signature, "once", "F7 20 87, 20 87"},
		{"piv-yubikey-5", app.Signature, "never", "F7 20 87, 20 87"},
		{"piv-yubikey-5", app.Authentication, "", "F7 20 87, 87"},
		{"piv-yubikey-5", app.Authentication, "always", "F7 20 87, 87 F7 20 87"},
		{"piv-yubikey-5", app.CardAuthentication, "", "87, 87"},
		{"piv-yubikey-5", app.CardAuthentication, "once", "87 F7 F7 20 87, 87"},
		{"piv-nist", app.Signature, "", "F7 CB 20 20 87, 20 87"},
	} {
		test.compare(t, func(_ *testing.T, d *table, public crypto.PublicKey) (string, error) {
			sent, err := d.unseen(test.slot, public)
			return strings.Join(sent, ", "), err
		})
	}
}

// TestUnseenKeysAreLookedAt before a person is asked for a PIN that the key may not need,
// and where nobody can give one.
func TestUnseenKeysAreLookedAt(t *testing.T) {
	for _, policy := range []string{"never", "once"} {
		d := managed(t, "piv-yubikey-5")
		made, err := d.generate(app.Signature, key.Spec{Algorithm: key.P256, PINPolicy: policy})
		if err != nil {
			t.Fatal(err)
		}
		typed := 0
		d.waiting = func() { typed++ }
		if _, err := d.unseen(app.Signature, made.Public); err != nil || (typed > 0) == (policy == "never") {
			t.Errorf("%s: asked %d times, %v", policy, typed, err)
		}
		d.waiting = nil
		delete(d.pins, secret.PIN)
		if _, err := d.unseen(app.Signature, made.Public); (err == nil) != (policy == "never") {
			t.Errorf("%s: %v", policy, err)
		}
	}
}

// TestUnseenKeysThatAreOthers are on the card instead of the one that is expected.
func TestUnseenKeysThatAreOthers(t *testing.T) {
	d := managed(t, "piv-yubikey-5")
	made := d.generated(app.Authentication, key.P256)
	if _, err := d.unseen(app.Signature, made.Public); !errors.Is(err, app.ErrEmpty) && !problem.Is(err, problem.NotFound) {
		t.Errorf("none: %v", err)
	}
	d.generated(app.Signature, key.P384)
	if _, err := d.unseen(app.Signature, made.Public); !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "another key is on the card") {
		t.Errorf("another one: %v", err)
	}
}

// TestUnseenPINIsNotSentBlindly: the tries are read before, and the last one is not used.
func TestUnseenPINIsNotSentBlindly(t *testing.T) {
	d := managed(t, "piv-yubikey-5")
	made := d.generated(app.Signature, key.P256)
	d.pins[secret.PIN] = "654321"
	for range 2 {
		if _, err := d.unseen(app.Signature, made.Public); !problem.Is(err, problem.PINIncorrect) {
			t.Fatal(err)
		}
	}
	sent, err := d.unseen(app.Signature, made.Public)
	if !problem.Is(err, problem.PINBlocked) || strings.Contains(strings.Join(sent, ","), "20") {
		t.Errorf("%v, %v", sent, err)
	}
}

// TestUnseenTouch tells that the card may wait, once it does not answer.
func TestUnseenTouch(t *testing.T) {
	d := managed(t, "piv-yubikey-5")
	made := d.generated(app.Signature, key.P256)
	var told []string
	err := d.on(func(ctx context.Context, c *onCard) error {
		c.access.Expected, c.access.Notify = made.Public, func(message string) { told = append(told, message) }
		s, err := c.key(app.Signature).Signer(ctx)
		if err != nil {
			return err
		}
		slow := false
		d.answer = func(cmd iso7816.Command, answer []byte) []byte {
			if slow && cmd.INS == 0x87 {
				time.Sleep(1100 * time.Millisecond)
			}
			return answer
		}
		for range 2 {
			if _, err := s.Sign(rand.Reader, make([]byte, 32), crypto.SHA256); err != nil {
				return err
			}
			slow = true
		}
		return nil
	})
	if err != nil || len(told) != 1 || !strings.Contains(told[0], "touch the card") {
		t.Errorf("%q, %v", told, err)
	}
}
