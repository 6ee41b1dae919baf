package openpgp

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

func derived(on bool) card.InitOptions { return card.InitOptions{Derived: &on} }

// kdf is the content of DO F9.
func (d *table) kdf() []byte {
	d.t.Helper()
	answer, err := d.send(iso7816.Command{INS: iso7816.InsGetData, P2: 0xF9, Ne: 256})
	if err != nil {
		d.t.Fatal(err)
	}
	return answer
}

// opens sends the PINs as cardctl does.
func (d *table) opens(user, admin string) error {
	d.t.Helper()
	typed := d.pins
	defer func() { d.pins = typed }()
	d.pins = map[secret.Name]string{secret.PIN: user, secret.AdminPIN: admin, secret.NewPIN: user}
	if err := d.setPIN(pin.User); err != nil {
		return err
	}
	d.pins[secret.NewPIN] = admin
	return d.setPIN(pin.Admin)
}

// The KDF is set up before the PINs, on blank and on used cards, and a reset undoes it.
// The PINs are derived then, in every command.
func TestInitialiseWithKDF(t *testing.T) {
	for _, profile := range []string{"", "short-apdus", "openpgp-yubikey-5", "kdf-stored", "terminate-when-blocked", "wrong-pin-6982", "no-terminate"} {
		t.Run(profile, func(t *testing.T) {
			d := newTable(t, profile)
			d.pins = map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321"}
			report, err := d.initialise(derived(true))
			if err != nil || !report.Derived || len(d.kdf()) != 110 {
				t.Fatalf("%+v, %v, %X", report, err, d.kdf())
			}
			if d.takes(0x81, "654321") || d.takes(0x83, "87654321") {
				t.Error("the card takes a PIN that is not derived")
			}
			if err := d.opens("654321", "87654321"); err != nil {
				t.Fatal(err)
			}
			first := string(d.kdf())
			d.generateAs("87654321")
			if profile == "no-terminate" {
				return
			}
			d.pins[secret.CurrentAdminPIN] = "87654321"
			if profile == "terminate-when-blocked" {
				delete(d.pins, secret.CurrentAdminPIN)
			}
			if report, err = d.initialise(derived(true)); err != nil || !report.Derived || string(d.kdf()) == first {
				t.Fatalf("again: %+v, %v", report, err)
			}
			if err := d.opens("654321", "87654321"); err != nil {
				t.Fatal(err)
			}
			d.generateAs("87654321")
			if report, err = d.initialise(card.InitOptions{}); err != nil || report.Derived || !d.takes(0x83, "87654321") {
				t.Errorf("a reset: %+v, %v", report, err)
			}
		})
	}
}

// The KDF of a blank card goes if that is asked for, and stays otherwise.
func TestInitialiseWithoutKDF(t *testing.T) {
	d := newTable(t, "kdf")
	d.pins = map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321"}
	if report, err := d.initialise(derived(false)); err != nil || report.Derived {
		t.Fatalf("%+v, %v", report, err)
	}
	d.checkPINs("654321", "87654321")
	d = newTable(t, "openpgp-2.0")
	var p *problem.Error
	if _, err := d.initialise(derived(true)); !errors.As(err, &p) || p.Code != problem.NotSupported || d.question != "" {
		t.Errorf("%v", err)
	}
}

// The number of tries is set before the PINs, where the card can.
func TestInitialiseWithTries(t *testing.T) {
	for _, profile := range []string{"openpgp-yubikey-4", "openpgp-yubikey-5"} {
		d := newTable(t, profile)
		d.pins = map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321"}
		if _, err := d.initialise(card.InitOptions{PINTries: 7}); err != nil {
			t.Fatal(err)
		}
		d.checkPINs("654321", "87654321")
		if now := d.tries(); now[0] != 7 || now[2] != 7 {
			t.Errorf("%s: %v", profile, now)
		}
	}
	for n, code := range map[int]problem.Code{1: problem.Usage, 100: problem.Usage, 5: problem.NotSupported} {
		d := newTable(t, "")
		if _, err := d.initialise(card.InitOptions{PINTries: n}); !problem.Is(err, code) || d.question != "" {
			t.Errorf("%d tries: %v", n, err)
		}
	}
}

// A card that is pulled between tries, KDF and PINs is completed by the same command.
func TestSetUpInterrupted(t *testing.T) {
	for _, used := range []bool{false, true} {
		points := 0
		for n := 1; ; n++ {
			plain := newTable(t, "openpgp-yubikey-5")
			if used {
				plain.generate("OPENPGP.3")
			}
			before := plain.card.Traffic().APDUs
			d := newTable(t, "openpgp-yubikey-5", cardsim.RemoveAfter(before+n))
			if used {
				d.generate("OPENPGP.3")
			}
			d.pins = map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321"}
			on := true
			o := card.InitOptions{Derived: &on, PINTries: 5}
			_, err := d.initialise(o)
			if err == nil {
				break
			}
			points++
			report, err := d.initialise(o)
			if err != nil || !report.Derived {
				t.Fatalf("used %v, pulled after %d: %+v, %v", used, n, report, err)
			}
			if now := d.tries(); now[0] != 5 || now[2] != 5 {
				t.Errorf("used %v, pulled after %d: %v", used, n, now)
			}
			if err := d.opens("654321", "87654321"); err != nil {
				t.Errorf("used %v, pulled after %d: %v", used, n, err)
			}
		}
		if points < 12 {
			t.Errorf("used %v: %d points", used, points)
		}
	}
}

// A YubiKey that is too old for another number of tries is not erased.
func TestOldYubiKeysKeepTheirTries(t *testing.T) {
	for version, able := range map[string]bool{
		"\x04\x03\x01\x90\x00": true, "\x05\x00\x00\x90\x00": true, "\x01\x00\x07\x90\x00": true, "\x01\x00\x10\x90\x00": true,
		"\x04\x03\x00\x90\x00": false, "\x04\x02\x08\x90\x00": false, "\x01\x00\x06\x90\x00": false, "\x6D\x00": false, "\x90\x00": false,
	} {
		d := newTable(t, "openpgp-yubikey-4")
		d.open("OPENPGP.3", func(k key.Key) {
			if _, err := k.Generate(t.Context(), key.Spec{Algorithm: key.RSA2048}); err != nil {
				t.Fatal(err)
			}
		})
		d.answers(func(cmd iso7816.Command) []byte {
			if cmd.INS == 0xF1 {
				return []byte(version)
			}
			return nil
		})
		d.pins = map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321"}
		_, err := d.initialise(card.InitOptions{PINTries: 5})
		if able && err != nil || !able && (!problem.Is(err, problem.NotSupported) || len(d.keys()) != 1) {
			t.Errorf("%X: %v, %v", version, err, d.keys())
		}
	}
}

// What a card refuses after it was erased is left out of the command that finishes.
func TestSetUpThatIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		refuses func(iso7816.Command) bool
		o       card.InitOptions
		without advice.Field
	}{
		"KDF":   {func(cmd iso7816.Command) bool { return cmd.INS == iso7816.InsPutData && cmd.P2 == 0xF9 }, derived(true), advice.KDF},
		"tries": {func(cmd iso7816.Command) bool { return cmd.INS == 0xF2 }, card.InitOptions{PINTries: 5}, advice.PINTries},
	} {
		d := newTable(t, "openpgp-yubikey-5")
		d.generate("OPENPGP.3")
		d.answers(func(cmd iso7816.Command) []byte {
			if test.refuses(cmd) {
				return []byte{0x6A, 0x81}
			}
			return nil
		})
		d.pins = map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321"}
		_, err := d.initialise(test.o)
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.NotSupported || !slices.Equal(p.Next.Omit, []advice.Field{test.without}) || strings.Contains(p.Why, "same command") ||
			!strings.Contains(p.Why, "The card is erased and has the factory PINs.") {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if _, err := d.initialise(card.InitOptions{}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := d.opens("654321", "87654321"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A card that confirms a KDF and has another one is told.
func TestKDFIsReadBack(t *testing.T) {
	d := newTable(t, "")
	d.pins = map[secret.Name]string{secret.PIN: "654321", secret.AdminPIN: "87654321"}
	d.answers(func(cmd iso7816.Command) []byte {
		if cmd.INS == iso7816.InsPutData && cmd.P2 == 0xF9 {
			return []byte{0x90, 0x00}
		}
		return nil
	})
	if _, err := d.initialise(derived(true)); err == nil || !strings.Contains(err.Error(), "did not store") {
		t.Errorf("%v", err)
	}
}
