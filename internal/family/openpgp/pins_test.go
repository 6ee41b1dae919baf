package cardinit

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

func (d *desk) setPIN(pin PIN) (err error) {
	d.session(func(ch *iso7816.Channel) { _, err = SetPIN(d.t.Context(), ch, pin, d.access()) })
	return err
}

func (d *desk) unblock(with secret.Name) (err error) {
	d.session(func(ch *iso7816.Channel) { _, err = UnblockPIN(d.t.Context(), ch, User, with, d.access()) })
	return err
}

// TestQuestionsNameThePIN is what a person reads when a new one is asked for.
func TestQuestionsNameThePIN(t *testing.T) {
	for pin, want := range map[PIN]string{User: "new user PIN", Admin: "new admin PIN", ResetCode: "new resetting code"} {
		d := newDesk(t, "")
		access := d.access()
		ask, got := access.Ask, ""
		access.Ask = func(ctx context.Context, q secret.Request) (*secret.Bytes, error) {
			if q.New {
				got = q.Label
			}
			return ask(ctx, q)
		}
		d.pins = map[secret.Name]string{secret.PIN: "123456", secret.AdminPIN: "12345678", secret.NewPIN: "87654321"}
		d.session(func(ch *iso7816.Channel) {
			if _, err := SetPIN(t.Context(), ch, pin, access); err != nil {
				t.Fatal(err)
			}
		})
		if got != want {
			t.Errorf("%s: %q", pin, got)
		}
	}
}

func TestSetAndUnblock(t *testing.T) {
	for _, profile := range []string{"", "openpgp-2.0", "kdf"} {
		t.Run(profile, func(t *testing.T) {
			d := newDesk(t, profile)
			step := func(err error) {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
			}
			d.pins = map[secret.Name]string{secret.PIN: "123456", secret.NewPIN: "654321"}
			step(d.setPIN(User))
			d.pins = map[secret.Name]string{secret.AdminPIN: "12345678", secret.NewPIN: "87654321"}
			step(d.setPIN(Admin))
			d.pins = map[secret.Name]string{secret.AdminPIN: "87654321", secret.NewPIN: "reset-code"}
			step(d.setPIN(ResetCode))
			d.blockUser()
			if pins := d.inspect().PINs; !pins[0].Blocked || !pins[1].Set {
				t.Fatalf("%+v", pins)
			}
			d.pins = map[secret.Name]string{secret.ResetCode: "reset-code", secret.NewPIN: "222222"}
			step(d.unblock(secret.ResetCode))
			d.blockUser()
			d.pins = map[secret.Name]string{secret.AdminPIN: "87654321", secret.NewPIN: "333333"}
			step(d.unblock(secret.AdminPIN))
			if profile != "kdf" {
				d.checkPINs("333333", "87654321")
			}
			for _, pin := range d.inspect().PINs {
				if pin.TriesLeft != 3 || pin.Blocked {
					t.Errorf("%+v", pin)
				}
			}
		})
	}
}

func TestSetPINRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		pin  PIN
		pins map[secret.Name]string
		code problem.Code
		left int // tries of the user PIN afterwards
	}{
		"a wrong old PIN":    {User, map[secret.Name]string{secret.PIN: "000000", secret.NewPIN: "654321"}, problem.PINIncorrect, 2},
		"a short old PIN":    {User, map[secret.Name]string{secret.PIN: "0", secret.NewPIN: "654321"}, problem.Usage, 3},
		"a short new PIN":    {User, map[secret.Name]string{secret.PIN: "123456", secret.NewPIN: "12345"}, problem.Usage, 3},
		"a short reset code": {ResetCode, map[secret.Name]string{secret.AdminPIN: "12345678", secret.NewPIN: "1234567"}, problem.Usage, 3},
		"no new PIN":         {User, map[secret.Name]string{secret.PIN: "123456"}, problem.Usage, 3},
		"a PIN it has not":   {PUK, nil, problem.NotSupported, 3},
		"no PIN at all":      {"door", nil, problem.Usage, 3},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, "")
			d.pins = test.pins
			err := d.setPIN(test.pin)
			var p *problem.Error
			if !errors.As(err, &p) || p.Code != test.code {
				t.Fatalf("%v, want %s", err, test.code)
			}
			if strings.Contains(p.Why, pinUnknown) {
				t.Errorf("the card said no, and %q", p.Why)
			}
			if left := d.inspect().PINs[0].TriesLeft; left != test.left {
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
		card, err := cardsim.NewCard(cardsim.Options{Profile: "wrong-pin-6982"}, cardsim.RemoveBefore(n))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = card.Close() })
		d := &desk{t: t, card: card, pins: map[secret.Name]string{secret.PIN: "000000", secret.NewPIN: "654321"}}
		err = d.setPIN(User)
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
	d := newDesk(t, "")
	d.pins = map[secret.Name]string{secret.ResetCode: "12345678", secret.NewPIN: "654321"}
	if err := d.unblock(secret.ResetCode); !problem.Is(err, problem.PINBlocked) {
		t.Fatal(err)
	}
	if err := d.unblock(secret.PUK); !problem.Is(err, problem.NotSupported) {
		t.Fatal(err)
	}
}
