package piv

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

func TestParse(t *testing.T) {
	for typed, want := range map[string]string{
		"PIV.9A": "PIV.9A", "piv.9c": "PIV.9C", "Piv.9d": "PIV.9D", "PIV.9E": "PIV.9E", "piv.f9": "PIV.F9",
		"PIV.82": "PIV.82", "piv.8f": "PIV.8F", "PIV.95": "PIV.95",
	} {
		if ref, ours, err := parse(typed); err != nil || !ours || ref.String() != want || ref.Family != "PIV" {
			t.Errorf("%s: %v %v %v", typed, ref, ours, err)
		}
	}
	for _, typed := range []string{"PIV.", "PIV.81", "PIV.96", "PIV.9B", "PIV.9AA", "PIV.082", "PIV.+9A", "piv.123456"} {
		_, ours, err := parse(typed)
		if !ours || !problem.Is(err, problem.Usage) {
			t.Errorf("%s: %v %v", typed, ours, err)
		}
		if id := typed[4:]; len(id) > 3 && err != nil && strings.Contains(err.Error(), id) {
			t.Errorf("%s is repeated: %v", typed, err)
		}
	}
	for _, typed := range []string{"PIV", "OPENPGP.1", "pkcs11:token=PIV.9A", "PIVOT.9A", ""} {
		if ref, ours, err := parse(typed); ours || err != nil {
			t.Errorf("%s: %v %v %v", typed, ref, ours, err)
		}
	}
}

// certificateObject is a certificate of a new key as another program stores it.
func certificateObject(t *testing.T) (content, der []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Floppy Head"}}
	der, err = x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	return append(iso7816.AppendTLV(iso7816.AppendTLV(nil, 0x70, der), 0x71, []byte{0}), 0xFE, 0x00), der
}

// occupants are what is in the slots that the card shows, in words.
func (d *table) occupants() map[string]string {
	shown := map[string]string{}
	d.looking(func(ctx context.Context, c *onCard) error {
		keys, err := c.Keys(ctx)
		for _, k := range keys {
			o, err := k.Occupant(ctx)
			if err != nil {
				return err
			}
			ref := k.Reference().String()
			switch {
			case o == nil:
				shown[ref] = "empty"
			case o.Unknown:
				shown[ref] = "unknown"
			default:
				shown[ref] = strings.TrimSpace(fmt.Sprintf("%s %s %s", o.Algorithm, o.Origin, o.PINPolicy))
				if o.Certified {
					shown[ref] += ", certified"
				}
			}
		}
		return err
	})
	return shown
}

// What is in the slots is found out as far as the card tells, in whichever way.
func TestOccupants(t *testing.T) {
	tests := []struct {
		profile string
		want    map[string]string
	}{
		{"piv-nist", map[string]string{"9A": "unknown", "9C": "p256, certified", "9D": "unknown", "9E": "empty", "83": "p256, certified"}},
		{"piv-yubikey-4", map[string]string{"9A": "p256", "9C": "p256, certified", "9D": "empty", "9E": "empty", "83": "p256, certified", "F9": "p256, certified"}},
		{"piv-yubikey-5", map[string]string{"9A": "p256 generated once", "9C": "empty", "9D": "empty", "9E": "empty", "F9": "p256, certified"}},
		{"piv-yubikey-5.7", map[string]string{"9A": "p256 generated once", "9C": "empty", "9D": "empty", "9E": "empty", "F9": "p256, certified"}},
		{"piv-metadata-type-only", map[string]string{"9A": "p256 imported once", "9C": "empty", "9D": "empty", "9E": "empty", "F9": "p256, certified"}},
		{"piv-empty-slot-6a86", map[string]string{"9A": "p256 generated once", "9C": "empty", "9D": "empty", "9E": "empty", "F9": "p256, certified"}},
	}
	for _, test := range tests {
		t.Run(test.profile, func(t *testing.T) {
			d := newTable(t, test.profile)
			d.another(func(o *tool) {
				content, _ := certificateObject(t)
				o.send(0x47, 0, 0x9A, "AC03800111")
				o.put("5FC10A", content)
				o.put("5FC10E", content)
			})
			got := d.occupants()
			if len(got) != len(test.want) {
				t.Errorf("%v", got)
			}
			for slot, want := range test.want {
				if got["PIV."+slot] != want {
					t.Errorf("%s: %q, want %q", slot, got["PIV."+slot], want)
				}
			}
		})
	}
}

// A YubiKey that tells neither of keys that were imported nor by a certificate is asked
// to use the key: without the PIN it does not.
func TestImportedKeyWithoutMetadata(t *testing.T) {
	d := newTable(t, "piv-yubikey-4")
	private, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := private.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	d.another(func(o *tool) { o.send(0xFE, 0x14, 0x9D, fmt.Sprintf("0630%X", scalar)) })
	if got := d.occupants()["PIV.9D"]; got != "p384" {
		t.Errorf("%q", got)
	}
	d.looking(func(ctx context.Context, c *onCard) error {
		_, err := c.key(app.KeyManagement).Public(ctx)
		if !problem.Is(err, problem.NotFound) {
			t.Error(err)
		}
		return nil
	})
}

// A card without any public key in its metadata tells it in other ways.
func TestPublicKeyIsAskedOtherwise(t *testing.T) {
	d := newTable(t, "piv-yubikey-5")
	var point []byte
	d.another(func(o *tool) { point = o.send(0x47, 0, 0x9A, "AC03800111") })
	d.answer = func(cmd iso7816.Command, answer []byte) []byte {
		if cmd.INS == 0xF7 && cmd.P2 == 0x9A {
			return unhex(t, "0101119000")
		}
		return answer
	}
	d.looking(func(ctx context.Context, c *onCard) error {
		public, err := c.key(app.Authentication).Public(ctx)
		if err != nil {
			return err
		}
		want, _ := iso7816.FindTLV(point, 0x7F49, 0x86)
		if got, _ := public.(*ecdsa.PublicKey).Bytes(); !slices.Equal(got, want) {
			t.Errorf("%X", got)
		}
		return nil
	})
	d.answer = func(cmd iso7816.Command, answer []byte) []byte {
		if cmd.INS == 0xF7 || cmd.INS == 0xF9 {
			return unhex(t, "6F00")
		}
		return answer
	}
	if got := d.occupants()["PIV.9A"]; got != "p256" {
		t.Errorf("%q", got)
	}
}

func TestCertificates(t *testing.T) {
	for _, profile := range profiles() {
		d := newTable(t, profile)
		content, der := certificateObject(t)
		d.another(func(o *tool) { o.put("5FC105", content) })
		d.looking(func(ctx context.Context, c *onCard) error {
			k := c.key(app.Authentication)
			got, err := k.Certificate(ctx)
			if err != nil || !slices.Equal(got, der) {
				t.Errorf("%s: %X, %v", profile, got, err)
			}
			none, err := c.key(app.Signature).Certificate(ctx)
			if none != nil || err != nil {
				t.Errorf("%s: %X, %v", profile, none, err)
			}
			before := len(d.sent)
			if _, err := k.Certificate(ctx); err != nil || len(d.sent) != before {
				t.Errorf("%s: it is read again: %v", profile, err)
			}
			if got, err = k.ReadBackCertificate(ctx); err != nil || !slices.Equal(got, der) || len(d.sent) == before {
				t.Errorf("%s: it is not read again: %v", profile, err)
			}
			return nil
		})
	}
}

func TestPINs(t *testing.T) {
	for profile, want := range map[string]string{
		"piv-nist": "user 6-8 3, puk 8-8 -1", "piv-yubikey-4": "user 6-8 3, puk 6-8 -1",
		"piv-yubikey-5": "user 6-8 3, puk 6-8 3", "piv-yubikey-5.7": "user 6-8 3, puk 6-8 3",
	} {
		d := newTable(t, profile)
		d.looking(func(ctx context.Context, c *onCard) error {
			pins, err := c.PINs(ctx)
			var got []string
			for _, p := range pins {
				left, err := p.Tries(ctx, false)
				if err != nil {
					return err
				}
				got = append(got, fmt.Sprintf("%s %d-%d %d", p.Role, p.Min, p.Max, left.Number()))
			}
			if shown := strings.Join(got, ", "); shown != want {
				t.Errorf("%s: %s", profile, shown)
			}
			return err
		})
	}
}

// The PIN is the one that the discovery object names.
func TestGlobalPIN(t *testing.T) {
	d := newTable(t, "piv-nist")
	d.answer = func(cmd iso7816.Command, answer []byte) []byte {
		switch {
		case cmd.INS == 0xCB && slices.Equal(cmd.Data, []byte{0x5C, 0x01, 0x7E}):
			return unhex(t, "7E055F2F0260209000")
		case cmd.INS == iso7816.InsVerify && cmd.P2 == 0x00:
			return unhex(t, "63C7")
		}
		return answer
	}
	d.looking(func(ctx context.Context, c *onCard) error {
		pins, err := c.PINs(ctx)
		if err != nil {
			return err
		}
		if left, err := pins[0].Tries(ctx, true); err != nil || left != pin.Left(7) {
			t.Errorf("%v, %v", left, err)
		}
		return nil
	})
}

func TestFacts(t *testing.T) {
	for profile, want := range map[string]facts{
		"piv-nist":        {UnknownKeys: []string{"PIV.9A", "PIV.9C", "PIV.9D"}},
		"piv-yubikey-4":   {Firmware: "4.3.1", WeakRSA: true},
		"piv-yubikey-5":   {Firmware: "5.4.3", FactoryValues: []string{"PIN", "PUK", "management key"}},
		"piv-yubikey-5.7": {Firmware: "5.7.4", FactoryValues: []string{"PIN", "PUK", "management key"}},
	} {
		d := newTable(t, profile)
		d.looking(func(ctx context.Context, c *onCard) error {
			keys, err := c.Keys(ctx)
			if err != nil {
				return err
			}
			for _, k := range keys {
				if _, err := k.Occupant(ctx); err != nil {
					return err
				}
			}
			found, err := c.Facts(ctx)
			if got := fmt.Sprintf("%+v", found[0].Value); err != nil || got != fmt.Sprintf("%+v", want) {
				t.Errorf("%s: %s, %v", profile, got, err)
			}
			return nil
		})
	}
	for _, f := range []app.Firmware{{4, 2, 0}, {4, 2, 8}, {4, 3, 4}} {
		if !weakRSA(f) {
			t.Errorf("%s makes no weak keys", f)
		}
	}
	for _, f := range []app.Firmware{{4, 1, 9}, {4, 3, 5}, {4, 4, 0}, {5, 2, 0}, {}} {
		if weakRSA(f) {
			t.Errorf("%s makes weak keys", f)
		}
	}
}

func TestSerial(t *testing.T) {
	d := newTable(t, "piv-nist")
	d.another(func(o *tool) {
		o.put("5FC102", iso7816.AppendTLV([]byte{0x30, 0x01, 0xD1}, 0x34, unhex(t, "00112233445566778899AABBCCDDEEFF")))
	})
	d.looking(func(_ context.Context, c *onCard) error {
		if s := c.Identity().Serial; s != "00112233445566778899AABBCCDDEEFF" {
			t.Errorf("serial %q", s)
		}
		return nil
	})
	sim, err := cardsim.NewCard(cardsim.Options{Profile: "piv-yubikey-5", Serial: "00000102", Applications: []string{"piv"}})
	if err != nil {
		t.Fatal(err)
	}
	d = &table{t: t, card: sim}
	d.looking(func(_ context.Context, c *onCard) error {
		if s := c.Identity().Serial; s != "00000258" {
			t.Errorf("serial %q", s)
		}
		return nil
	})
}

// Another card in the reader gets nothing but the commands that compare it.
func TestAnotherCardIsNoticed(t *testing.T) {
	for _, profile := range []string{"piv-nist", "piv-yubikey-5"} {
		for _, other := range []string{"piv-yubikey-5", "openpgp-3.4"} {
			d := newTable(t, profile)
			applications := []string{"piv"}
			if other == "openpgp-3.4" {
				applications = []string{"openpgp"}
			}
			swapped, err := cardsim.NewCard(cardsim.Options{Profile: other, Applications: applications})
			if err != nil {
				t.Fatal(err)
			}
			err = d.on(func(ctx context.Context, c *onCard) error {
				if err := c.line.Release(); err != nil {
					return err
				}
				var failed error
				if d.other, failed = swapped.Connect(ctx); failed != nil {
					return failed
				}
				_, err := c.key(app.Authentication).Occupant(ctx)
				return err
			})
			if !problem.Is(err, problem.CardChanged) {
				t.Errorf("%s, then %s: %v", profile, other, err)
			}
		}
	}
}

func TestOpenWhatIsNot(t *testing.T) {
	sim, err := cardsim.NewCard(cardsim.Options{})
	if err != nil {
		t.Fatal(err)
	}
	d := &table{t: t, card: sim}
	err = d.on(func(context.Context, *onCard) error { return nil })
	if !errors.Is(err, card.ErrLacks) || !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
}

// describe takes two commands on a card that tells its serial: SELECT and GET SERIAL.
func TestDescribe(t *testing.T) {
	d := newTable(t, "piv-yubikey-5")
	line, err := (&desk.Desk{Simulated: d}).OpenIn(t.Context(), desk.SimulatedPrefix+"card")
	if err != nil {
		t.Fatal(err)
	}
	var found card.Identity
	if err := line.Done(describe(t.Context(), line, &found)); err != nil || len(found.Serial) < 8 || len(d.sent) != 2 {
		t.Errorf("%+v, %d commands, %v", found, len(d.sent), err)
	}
}

// Public keys are named by their SubjectPublicKeyInfo.
func TestFingerprint(t *testing.T) {
	d := newTable(t, "piv-yubikey-5")
	d.another(func(o *tool) { o.send(0x47, 0, 0x9A, "AC03800111") })
	d.looking(func(ctx context.Context, c *onCard) error {
		k := c.key(app.Authentication)
		o, err := k.Occupant(ctx)
		if err != nil {
			return err
		}
		public, err := k.Public(ctx)
		if err != nil || o.Fingerprint != pubkey.Fingerprint(public) || key.AlgorithmOf(public) != o.Algorithm {
			t.Errorf("%+v, %v", o, err)
		}
		return nil
	})
}

// What of a card others may know is told where the card tells it, and never tried.
func TestExposure(t *testing.T) {
	for profile, test := range map[string]struct{ factory, unknown, weak string }{
		"piv-nist":        {"", "[PIN PUK management key]", "[]"},
		"piv-yubikey-4":   {"", "[PIN PUK management key]", "[PIV.9C]"},
		"piv-yubikey-5":   {"PIN, PUK, management key", "[]", "[]"},
		"piv-yubikey-5.7": {"PIN, PUK, management key", "[]", "[]"},
	} {
		d := managed(t, profile)
		d.generated(app.Authentication, key.P256)
		if profile == "piv-yubikey-4" { // which has no other way to get such a key
			d.another(func(o *tool) { o.send(0x47, 0, 0x9C, "AC03800107") })
		}
		d.sent = nil
		line, err := (&desk.Desk{Simulated: d}).OpenIn(t.Context(), desk.SimulatedPrefix+"card")
		if err != nil {
			t.Fatal(err)
		}
		told, err := exposure(t.Context(), line)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, value := range told.Factory {
			names = append(names, value.Name)
		}
		if strings.Join(names, ", ") != test.factory || fmt.Sprint(told.Unknown) != test.unknown || fmt.Sprint(told.Weak) != test.weak {
			t.Errorf("%s: %+v", profile, told)
		}
		for _, cmd := range d.sent {
			if cmd.P2 == app.ManagementKey && cmd.INS != 0xF7 || cmd.INS == iso7816.InsVerify && len(cmd.Data) > 0 || cmd.INS == iso7816.InsChangeReferenceData {
				t.Errorf("%s: %02X %02X was tried", profile, cmd.INS, cmd.P2)
			}
		}
		if err := line.Close(); err != nil {
			t.Error(err)
		}
	}
}
