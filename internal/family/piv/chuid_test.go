package piv

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
)

// chuidOf makes a CHUID with this signature.
func chuidOf(t *testing.T, signature string) []byte {
	t.Helper()
	chuid, err := app.NewCHUID(bytes.NewReader(bytes.Repeat([]byte{0x5A}, 16)), time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC))
	if err != nil {
		t.Fatal(err)
	}
	empty := iso7816.AppendTLV(nil, 0x3E)
	return bytes.Replace(chuid, empty, iso7816.AppendTLV(nil, 0x3E, []byte(signature)), 1)
}

// The GUID is renewed where nothing depends on it, and everything else of the CHUID stays.
func TestRenewIdentifier(t *testing.T) {
	for name, test := range map[string]struct {
		profile, signature string
		none               bool
		choice             key.Renewal
		renewed            bool
		why                string
	}{
		"on a YubiKey":           {profile: "piv-yubikey-5", renewed: true},
		"none yet":               {profile: "piv-yubikey-5", none: true, renewed: true},
		"signed":                 {profile: "piv-yubikey-5", signature: "by its issuer", why: "signed"},
		"signed, anyway":         {profile: "piv-yubikey-5", signature: "by its issuer", choice: key.RenewAnyway, renewed: true},
		"kept":                   {profile: "piv-yubikey-5", choice: key.KeepIdentifier},
		"without a serial":       {profile: "piv-yubikey-4", why: "serial"},
		"of the standard":        {profile: "piv-nist", why: "serial"},
		"of the standard anyway": {profile: "piv-nist", choice: key.RenewAnyway, renewed: true},
	} {
		t.Run(name, func(t *testing.T) {
			d := managed(t, test.profile)
			before := chuidOf(t, test.signature)
			if !test.none {
				d.another(func(o *tool) { o.put("5FC102", before) })
			}
			var serial string
			d.looking(func(ctx context.Context, c *onCard) error {
				got, err := c.key(app.Authentication).RenewIdentifier(ctx, test.choice)
				if (got == nil) != (test.choice == key.KeepIdentifier) || got != nil && (got.Renewed != test.renewed || !strings.Contains(got.Why, test.why)) {
					t.Errorf("%+v, %v", got, err)
				}
				serial = c.Identity().Serial
				return err
			})
			d.looking(func(ctx context.Context, c *onCard) error {
				after, err := c.app.GetData(ctx, app.CHUID)
				if bytes.Equal(before, after) == test.renewed || after == nil {
					t.Errorf("%X became %X", before, after)
				}
				was, _ := app.GUID(before)
				now, _ := app.GUID(after)
				if test.renewed && test.signature == "" && !test.none && !bytes.Equal(bytes.Replace(after, now[:], was[:], 1), before) {
					t.Errorf("more than the GUID is new: %X became %X", before, after)
				}
				if c.Identity().Serial != serial {
					t.Errorf("serial %q, then %q", serial, c.Identity().Serial)
				}
				return err
			})
		})
	}
}

// A card that kept another CHUID than was written is found out.
func TestCHUIDIsReadBack(t *testing.T) {
	d := managed(t, "piv-yubikey-5")
	d.instead = func(cmd iso7816.Command) []byte {
		if cmd.INS == iso7816.InsPutDataOdd {
			return []byte{0x90, 0x00}
		}
		return nil
	}
	err := d.on(func(ctx context.Context, c *onCard) error {
		_, err := c.key(app.Authentication).RenewIdentifier(ctx, key.RenewIfFree)
		return err
	})
	if err == nil {
		t.Error("nothing was stored, and nobody noticed")
	}
}
