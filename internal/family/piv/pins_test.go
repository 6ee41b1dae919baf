package piv

import (
	"context"
	"errors"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// change does what set-pin and unblock-pin do.
func (d *table) change(how func(context.Context, *onCard) (pin.Change, error)) error {
	return d.on(func(ctx context.Context, c *onCard) error {
		change, err := how(ctx, c)
		if err != nil {
			return err
		}
		return c.access.Policy.Change(ctx, change)
	})
}

func setting(role pin.Role) func(context.Context, *onCard) (pin.Change, error) {
	return func(ctx context.Context, c *onCard) (pin.Change, error) { return c.SetPIN(ctx, role) }
}

func unblocking(ctx context.Context, c *onCard) (pin.Change, error) {
	return c.UnblockPIN(ctx, pin.User, "")
}

func TestChangePINs(t *testing.T) {
	for _, profile := range profiles() {
		told := profile == "piv-yubikey-5" || profile == "piv-yubikey-5.7"
		d := newTable(t, profile)
		d.pins[secret.NewPIN] = "654321"
		if err := d.change(setting(pin.User)); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
		if err := d.change(setting(pin.User)); !problem.Is(err, problem.PINIncorrect) {
			t.Errorf("%s: %v", profile, err)
		}
		d.pins[secret.NewPIN] = "87654321"
		for _, how := range []func(context.Context, *onCard) (pin.Change, error){setting(pin.PUK), unblocking} {
			if err := d.change(how); !told && !problem.Is(err, problem.TriesUnknown) || told && err != nil {
				t.Errorf("%s: %v", profile, err)
			}
			if told {
				d.pins[secret.PUK] = "87654321"
			}
		}
		d.allow.UnknownTries = true
		if err := d.change(setting(pin.PUK)); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
		d.pins[secret.PUK] = "12345678"
		if err := d.change(unblocking); !problem.Is(err, problem.PINIncorrect) {
			t.Errorf("%s: a wrong PUK: %v", profile, err)
		}
		d.pins[secret.PUK], d.pins[secret.NewPIN] = "87654321", "123456"
		if err := d.change(unblocking); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
		d.pins[secret.NewPIN] = "654321"
		if err := d.change(setting(pin.User)); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
	}
}

// What a card would not take is not sent.
func TestNewPINsOfTheWrongForm(t *testing.T) {
	sent := func(d *table) bool {
		for _, cmd := range d.sent {
			if cmd.INS == iso7816.InsChangeReferenceData {
				return true
			}
		}
		return false
	}
	for _, test := range []struct {
		profile, value string
		role           pin.Role
		good           bool
	}{
		{"piv-nist", "abcdef", pin.User, false}, {"piv-yubikey-5", "abcdef", pin.User, true}, {"piv-nist", "123456789", pin.User, false},
		{"piv-yubikey-5", "123456789", pin.User, false}, {"piv-nist", "12345", pin.User, false}, {"piv-nist", "123456", pin.PUK, false},
		{"piv-yubikey-5", "123456", pin.PUK, true}, {"piv-nist", "abcdefgh", pin.PUK, true},
	} {
		d := newTable(t, test.profile)
		d.allow.UnknownTries = true
		d.pins[secret.NewPIN] = test.value
		err := d.change(setting(test.role))
		if test.good && err != nil || !test.good && (!problem.Is(err, problem.Usage) || sent(d)) {
			t.Errorf("%+v: %v, sent %v", test, err, sent(d))
		}
	}
	d := newTable(t, "piv-nist")
	d.pins[secret.PIN], d.pins[secret.NewPIN] = "123456789", "123456"
	if err := d.change(setting(pin.User)); !problem.Is(err, problem.Usage) || sent(d) {
		t.Error(err)
	}
	for _, role := range []pin.Role{pin.Admin, pin.SO, pin.ResetCode} {
		if err := d.change(setting(role)); !problem.Is(err, problem.NotSupported) {
			t.Error(err)
		}
	}
	err := d.change(func(ctx context.Context, c *onCard) (pin.Change, error) {
		return c.UnblockPIN(ctx, pin.User, secret.AdminPIN)
	})
	if !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
}

// The last try is not used up, and a blocked PIN not sent.
func TestTriesAreKept(t *testing.T) {
	for _, profile := range profiles() {
		d := managed(t, profile)
		made := d.generated(app.Authentication, key.P256)
		d.pins[secret.PIN] = "999999"
		for range 2 {
			if err := d.signs(app.Authentication, made.Public); !problem.Is(err, problem.PINIncorrect) {
				t.Errorf("%s: %v", profile, err)
			}
		}
		var told *problem.Error
		if err := d.signs(app.Authentication, made.Public); !errors.As(err, &told) || told.Code != problem.PINBlocked || *told.TriesLeft != 1 {
			t.Errorf("%s: %v", profile, err)
		}
		d.pins[secret.PIN] = "123456"
		d.allow.LastTry = true
		if err := d.signs(app.Authentication, made.Public); err != nil {
			t.Errorf("%s: %v", profile, err)
		}
	}
}
