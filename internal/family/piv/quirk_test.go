package piv

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// proves has a key made and used, with the PIN.
func (d *table) proves() {
	d.t.Helper()
	made := d.generated(app.Authentication, key.P256)
	d.looking(func(ctx context.Context, c *onCard) error { return c.key(app.Authentication).Prove(ctx, made.Public) })
}

// A card is found by as much of its name as it takes.
func TestNames(t *testing.T) {
	for _, profile := range []string{"piv-aid-5", "piv-aid-9"} {
		managed(t, profile).proves()
	}
}

// Long commands go out in blocks without Le, and none is 261 bytes long.
func TestNoLeInAChain(t *testing.T) {
	d := managed(t, "piv-no-le-in-chain")
	made := d.generated(app.KeyManagement, key.RSA2048)
	d.looking(func(ctx context.Context, c *onCard) error { return c.key(app.KeyManagement).Prove(ctx, made.Public) })
	d.looking(func(ctx context.Context, c *onCard) error {
		for _, most := range []int{260, 520} {
			for length := most - 30; length < most; length++ {
				_, err := c.app.Use(ctx, app.KeyManagement, app.P256, make([]byte, length))
				if iso7816.StatusOf(err) == iso7816.StatusUnknown {
					t.Errorf("%d bytes: %v", length, err)
				}
			}
		}
		return nil
	})
	if _, err := d.bring(app.Signature, brought(t, key.RSA2048), key.Spec{}); err != nil {
		t.Error(err)
	}
}

// The tries are told by 630x, by the global PIN that the discovery object names, and after
// a reset by a card on which the PIN is verified.
func TestTriesThatAreToldOtherwise(t *testing.T) {
	for _, profile := range []string{"piv-tries-630x", "piv-global-pin", "piv-pin-stays"} {
		d := managed(t, profile)
		reference := byte(0x80)
		if profile == "piv-global-pin" {
			reference = 0
		}
		verified := func() {
			d.another(func(o *tool) {
				o.send(iso7816.InsVerify, 0, reference, "313233343536FFFF")
				o.leaves = true
			})
		}
		d.pins[secret.PIN] = "999999"
		for left := 2; left > 0; left-- {
			err := d.on(func(ctx context.Context, c *onCard) error { return c.unlock(ctx, true) })
			if !problem.Is(err, problem.PINIncorrect) {
				t.Errorf("%s: %v", profile, err)
			}
			d.looking(func(ctx context.Context, c *onCard) error {
				p, err := c.userPIN(ctx)
				if err != nil {
					return err
				}
				got, err := p.Tries(ctx, true)
				if n, known := got.Count(); !known || n != left {
					t.Errorf("%s: %d tries, %v, want %d", profile, n, known, left)
				}
				return err
			})
		}
		if err := d.on(func(ctx context.Context, c *onCard) error { return c.unlock(ctx, true) }); !problem.Is(err, problem.PINBlocked) {
			t.Errorf("%s: the last try: %v", profile, err)
		}
		d.pins[secret.PIN], d.allow = "123456", pin.Allow{LastTry: true}
		d.proves()
		verified()
		d.allow = pin.Allow{}
		d.looking(func(ctx context.Context, c *onCard) error { return c.unlock(ctx, true) })
	}
}

// A card without room says so, and what was there stays.
func TestAFullCard(t *testing.T) {
	d := managed(t, "piv-full")
	made := d.generated(app.Authentication, key.P256)
	there := d.certify(app.Authentication, made)
	der := noise(t, made, 2000)
	err := d.on(func(ctx context.Context, c *onCard) error {
		return c.key(app.Authentication).PutCertificate(ctx, der, nil)
	})
	if iso7816.StatusOf(err) != iso7816.StatusNoSpace || !problem.Is(err, problem.Failed) {
		t.Errorf("got %v", err)
	}
	d.holds(app.Authentication, made.Public, there)
}

// A certificate of 4 kB does not fit, even compressed.
func TestACertificateOf4kB(t *testing.T) {
	for _, profile := range profiles() {
		d := managed(t, profile)
		made := d.generated(app.Authentication, key.P256)
		err := d.on(func(ctx context.Context, c *onCard) error {
			return c.key(app.Authentication).PutCertificate(ctx, noise(t, made, 4096), nil)
		})
		if iso7816.StatusOf(err) == 0 || !problem.Is(err, problem.Failed) || !strings.Contains(err.Error(), "no room for the certificate: It has ") {
			t.Errorf("%s: %v", profile, err)
		}
	}
}

// noise is a certificate that does not get shorter by compression.
func noise(t *testing.T, made *key.Generated, length int) []byte {
	t.Helper()
	private := brought(t, key.P256)
	random := make([]byte, length)
	if _, err := rand.Read(random); err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "me"},
		ExtraExtensions: []pkix.Extension{{Id: []int{1, 3, 6, 1, 4, 1, 99999, 1}, Value: random}},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, made.Public, private)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// An object that is cut is not a certificate, and not nothing.
func TestAnObjectThatIsCut(t *testing.T) {
	d := managed(t, "piv-object-cut")
	made := d.generated(app.Authentication, key.P256)
	content, _ := certificateObject(t)
	d.another(func(o *tool) { o.put("5FC105", content) })
	d.looking(func(ctx context.Context, c *onCard) error {
		k := c.key(app.Authentication)
		if der, err := k.Certificate(ctx); err == nil || der != nil {
			t.Errorf("%d bytes, %v", len(der), err)
		}
		o, err := k.Occupant(ctx)
		if err != nil || o.Fingerprint != made.Fingerprint {
			t.Errorf("%+v, %v", o, err)
		}
		return err
	})
	made = d.generated(app.Authentication, key.P256)
	if made.StaleCertificate == nil {
		t.Error("the certificate that cannot be read was left")
	}
}
