package openpgp

import (
	"errors"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

func touching(policy key.Touch) func(*table) error {
	return func(d *table) error {
		return d.withKey("OPENPGP.3", func(k key.Key) error { return k.(key.TouchSetter).SetTouch(d.t.Context(), policy) })
	}
}

func (d *table) touch() (policy key.Touch) {
	d.t.Helper()
	err := d.withKey("OPENPGP.3", func(k key.Key) (err error) {
		policy, err = k.(key.TouchSetter).Touch(d.t.Context())
		return err
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return policy
}

// SELECT, DO 6E, the KDF, VERIFY, PUT DATA, and DO 6E again.
func TestSetTouch(t *testing.T) {
	d := newTable(t, "")
	if err := touching(key.TouchOn)(d); err != nil || d.touch() != key.TouchOn {
		t.Fatalf("%v, %s", err, d.touch())
	}
	if err := touching(key.TouchOff)(d); err != nil || d.touch() != key.TouchOff {
		t.Fatalf("%v, %s", err, d.touch())
	}
	before := d.card.Traffic().APDUs
	if err := touching(key.TouchPermanent)(d); err != nil || d.touch() != key.TouchPermanent {
		t.Fatalf("%v, %s", err, d.touch())
	}
	if n := d.card.Traffic().APDUs - before - 2; n > 6 {
		t.Errorf("%d APDUs, 6 are enough", n)
	}
	if err := touching(key.TouchOff)(d); err == nil || d.touch() != key.TouchPermanent {
		t.Errorf("a permanent policy was changed: %v, %s", err, d.touch())
	}
	for profile, can := range map[string]bool{"openpgp-yubikey-5": true, "openpgp-yubikey-4": false, "": false} {
		d := newTable(t, profile)
		err := touching(key.TouchCached)(d)
		if can && (err != nil || d.touch() != key.TouchCached) || !can && (!problem.Is(err, problem.NotSupported) || d.touch() != key.TouchOff) {
			t.Errorf("%s: %v, %s", profile, err, d.touch())
		}
	}
}

// A card without user interaction flags has no policies, and one that stores something
// else than it confirms is told.
func TestSetTouchWithoutFlags(t *testing.T) {
	for _, profile := range []string{"openpgp-2.0", "no-button"} {
		d := newTable(t, profile)
		err := touching(key.TouchOn)(d)
		var p *problem.Error
		if !errors.As(err, &p) || p.Code != problem.NotSupported || len(d.asked) > 0 {
			t.Errorf("%s: %v", profile, err)
		}
	}
	d := newTable(t, "")
	d.answers(func(cmd iso7816.Command) []byte {
		if cmd.INS == iso7816.InsPutData {
			return []byte{0x90, 0x00}
		}
		return nil
	})
	if err := touching(key.TouchOn)(d); err == nil || !strings.Contains(err.Error(), "did not store") {
		t.Errorf("%v", err)
	}
}
