//go:build stack

package pkcs15

import (
	"strings"
	"testing"

	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

func (b *bench) setPIN(role pin.Role) error {
	_, err := cardinit.SetPIN(b.t.Context(), b.at(), b.access(), string(role), nil)
	return err
}

// unblock sets the user PIN by its PUK.
func (b *bench) unblock() error {
	_, err := cardinit.UnblockPIN(b.t.Context(), b.at(), b.access(), string(pin.User), []secret.Name{secret.PUK}, nil)
	return err
}

func (b *bench) tries() int {
	b.t.Helper()
	info := b.mustInfo()
	if len(info.PINs) != 1 {
		b.t.Fatal(info.PINs)
	}
	return info.PINs[0].TriesLeft
}

func (b *bench) verifiedByOpenSC(pin string) bool {
	b.t.Helper()
	b.desk.Setenv("PIN", pin)
	result := b.desk.Try("pkcs15-tool", "--reader", "Virtual PCD 00 01", "--verify-pin", "--auth-id", "FF", "--pin", "env:PIN")
	return result.Exit == 0
}

func TestPINs(t *testing.T) {
	for name, deaf := range map[string]bool{"directly": false, "by OpenSC's tools": true} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.mustInit()
			b.deafen(deaf)
			t.Setenv("OPENSC_DRIVER", "isoApplet")
			if err := b.setPIN(pin.User); err != nil {
				t.Fatal(err)
			}
			if !b.verifiedByOpenSC(newPIN) {
				t.Fatal("the new PIN is not the card's")
			}
			b.pins[secret.NewPIN] = userPIN
			if err := b.unblock(); err != nil {
				t.Fatal(err)
			}
			if !b.verifiedByOpenSC(userPIN) {
				t.Fatal("the PUK did not set the PIN")
			}
			for _, role := range []pin.Role{pin.SO, pin.PUK} {
				if err := b.setPIN(role); !problem.Is(err, problem.NotSupported) {
					t.Errorf("set-pin %s: %v", role, err)
				}
			}
		})
	}
}

func TestAWrongPINIsSentOnce(t *testing.T) {
	b := newBench(t)
	b.mustInit()
	b.pins[secret.PIN] = "999999"
	steps := map[string]func() error{
		"gen-key": func() error {
			return b.key("PKCS15.45", func(k key.Key) error {
				_, err := k.Generate(t.Context(), key.Spec{})
				return err
			})
		},
		"set-pin": func() error { return b.setPIN(pin.User) },
	}
	left := 3
	for _, name := range []string{"gen-key", "set-pin"} {
		left--
		err := steps[name]()
		var wrong *problem.Error
		if !problem.Is(err, problem.PINIncorrect) || !asProblem(err, &wrong) || wrong.TriesLeft == nil || *wrong.TriesLeft != left {
			t.Errorf("%s: %v, want %d tries left", name, err, left)
		}
		if got := b.tries(); got != left {
			t.Fatalf("%s: %d tries left, want %d", name, got, left)
		}
		if strings.Contains(wrong.Why, "not known") {
			t.Errorf("%s: the card said no, and %q", name, wrong.Why)
		}
	}
	for name, step := range steps {
		if err := step(); !problem.Is(err, problem.PINBlocked) || b.tries() != 1 {
			t.Errorf("%s with the last try: %v, %d tries left", name, err, b.tries())
		}
	}
	b.verifiedByOpenSC("999999")
	if err := b.setPIN(pin.User); !problem.Is(err, problem.PINBlocked) {
		t.Errorf("a blocked PIN: %v", err)
	}
	b.pins[secret.PUK] = "0000000000000000"
	if err := b.unblock(); !problem.Is(err, problem.PINIncorrect) {
		t.Errorf("a wrong PUK: %v", err)
	}
	b.pins[secret.PUK] = "123"
	if err := b.unblock(); !problem.Is(err, problem.Usage) {
		t.Errorf("a short PUK: %v", err)
	}
	b.pins[secret.PUK] = puk
	if err := b.unblock(); err != nil || !b.verifiedByOpenSC(newPIN) {
		t.Errorf("unblock: %v", err)
	}
}
