package openpgp

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// TestQuestionsNameThePIN is what a person reads when a new one is asked for.
func TestQuestionsNameThePIN(t *testing.T) {
	for role, want := range map[pin.Role]string{pin.User: "new user PIN", pin.Admin: "new admin PIN", pin.ResetCode: "new resetting code"} {
		d := newTable(t, "")
		d.pins = map[secret.Name]string{secret.PIN: "123456", secret.AdminPIN: "12345678", secret.NewPIN: "87654321"}
		if err := d.setPIN(role); err != nil {
			t.Fatal(err)
		}
		if old, new := d.asked[0], d.asked[1]; new.Label != want || !new.New || old.Note != "3 tries left" || !strings.Contains(old.Label, " of OpenPGP card FFFE") {
			t.Errorf("%s: %+v", role, d.asked)
		}
	}
}

func TestSetAndUnblock(t *testing.T) {
	for _, profile := range []string{"", "openpgp-2.0", "kdf"} {
		t.Run(profile, func(t *testing.T) {
			d := newTable(t, profile)
			step := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			d.pins = map[secret.Name]string{secret.PIN: "123456", secret.NewPIN: "654321"}
			step(d.setPIN(pin.User))
			d.pins = map[secret.Name]string{secret.AdminPIN: "12345678", secret.NewPIN: "87654321"}
			step(d.setPIN(pin.Admin))
			d.pins = map[secret.Name]string{secret.AdminPIN: "87654321", secret.NewPIN: "reset-code"}
			step(d.setPIN(pin.ResetCode))
			d.burn(0x82, 3)
			if tries := d.tries(); tries[0] != 0 || tries[1] == 0 {
				t.Fatalf("%v", tries)
			}
			d.pins = map[secret.Name]string{secret.ResetCode: "reset-code", secret.NewPIN: "222222"}
			step(d.unblock(secret.ResetCode))
			d.burn(0x82, 3)
			d.pins = map[secret.Name]string{secret.AdminPIN: "87654321", secret.NewPIN: "333333"}
			step(d.unblock(secret.AdminPIN))
			if profile != "kdf" {
				d.checkPINs("333333", "87654321")
			}
			if tries := d.tries(); !slices.Equal(tries, []int{3, 3, 3}) {
				t.Errorf("%v", tries)
			}
		})
	}
}

func TestSetPINRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		role pin.Role
		pins map[secret.Name]string
		code problem.Code
		left int // tries of the user PIN afterwards
	}{
		"a wrong old PIN":    {pin.User, map[secret.Name]string{secret.PIN: "000000", secret.NewPIN: "654321"}, problem.PINIncorrect, 2},
		"a short old PIN":    {pin.User, map[secret.Name]string{secret.PIN: "0", secret.NewPIN: "654321"}, problem.Usage, 3},
		"a short new PIN":    {pin.User, map[secret.Name]string{secret.PIN: "123456", secret.NewPIN: "12345"}, problem.Usage, 3},
		"a short reset code": {pin.ResetCode, map[secret.Name]string{secret.AdminPIN: "12345678", secret.NewPIN: "1234567"}, problem.Usage, 3},
		"no new PIN":         {pin.User, map[secret.Name]string{secret.PIN: "123456"}, problem.Usage, 3},
		"a PIN it has not":   {pin.PUK, nil, problem.NotSupported, 3},
	} {
		t.Run(name, func(t *testing.T) {
			d := newTable(t, "")
			d.pins = test.pins
			err := d.setPIN(test.role)
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != test.code {
				t.Fatalf("%v, want %s", err, test.code)
			}
			if strings.Contains(p.Why, "not known") {
				t.Errorf("the card said no, and %q", p.Why)
			}
			if left := d.tries()[0]; left != test.left {
				t.Errorf("%d tries left, want %d", left, test.left)
			}
			d.checkPINs("123456", "12345678")
		})
	}
}

// TestSetPINOnACardThatIsPulled has a card that says a wrong PIN without the tries
// left, which are read then.
func TestSetPINOnACardThatIsPulled(t *testing.T) {
	for n := 1; ; n++ {
		d := newTable(t, "wrong-pin-6982", cardsim.RemoveBefore(n))
		d.pins = map[secret.Name]string{secret.PIN: "000000", secret.NewPIN: "654321"}
		err := d.setPIN(pin.User)
		if problem.Is(err, problem.PINIncorrect) {
			if n < 4 {
				t.Fatalf("done after %d APDUs", n)
			}
			return
		}
		if !problem.Is(err, problem.CardRemoved) {
			t.Fatalf("pulled at APDU %d: %v", n, err)
		}
	}
}

func TestUnblockRefusesAnUnsetResettingCode(t *testing.T) {
	d := newTable(t, "")
	d.pins = map[secret.Name]string{secret.ResetCode: "12345678", secret.NewPIN: "654321"}
	if err := d.unblock(secret.ResetCode); !problem.Is(err, problem.PINBlocked) {
		t.Fatal(err)
	}
	if err := d.unblock(secret.PUK); !problem.Is(err, problem.NotSupported) {
		t.Fatal(err)
	}
}

// TestAKDFThatCannotBeRead: how the card wants its PINs is not known then, and none is
// sent.
func TestAKDFThatCannotBeRead(t *testing.T) {
	d := newPINs(t, "kdf-unreadable")
	d.pins = map[secret.Name]string{secret.PIN: "123456", secret.NewPIN: "654321"}
	if err := d.setPIN(pin.User); err == nil || problem.Is(err, problem.PINIncorrect) || d.tries()[0] != 3 {
		t.Errorf("%v, tries %v", err, d.tries())
	}
}
