package piv

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// brought is a key of an algorithm that comes from outside.
func brought(t *testing.T, algorithm key.Algorithm) crypto.PrivateKey {
	t.Helper()
	var private crypto.PrivateKey
	var err error
	switch algorithm {
	case key.P256:
		private, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	case key.P384:
		private, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	case key.P521:
		private, err = ecdsa.GenerateKey(elliptic.P521(), rand.Reader)
	case key.Ed25519:
		_, private, err = ed25519.GenerateKey(rand.Reader)
	case key.X25519:
		private, err = ecdh.X25519().GenerateKey(rand.Reader)
	default:
		bits, _ := algorithm.RSABits()
		private, err = rsa.GenerateKey(rand.Reader, bits)
	}
	if err != nil {
		t.Fatal(err)
	}
	return private
}

func publicOf(private crypto.PrivateKey) crypto.PublicKey {
	return private.(interface{ Public() crypto.PublicKey }).Public()
}

func (d *table) bring(slot app.Slot, private crypto.PrivateKey, spec key.Spec) (made *key.Generated, err error) {
	d.t.Helper()
	err = d.on(func(ctx context.Context, c *onCard) error {
		made, err = c.key(slot).Import(ctx, private, spec)
		return err
	})
	return made, err
}

// Keys of every algorithm that the card has are imported, read back, and used. A card
// that does not report them has them prove themselves, with the PIN.
func TestImport(t *testing.T) {
	all := []key.Algorithm{key.RSA2048, key.RSA3072, key.P256, key.P384, key.Ed25519, key.X25519}
	for profile, algorithms := range map[string][]key.Algorithm{
		"piv-yubikey-4": {key.RSA2048, key.P256, key.P384}, "piv-yubikey-5": {key.RSA2048, key.P256, key.P384}, "piv-yubikey-5.7": all,
		"piv-metadata-type-only": {key.P256},
	} {
		for _, algorithm := range algorithms {
			d := managed(t, profile)
			private := brought(t, algorithm)
			made, err := d.bring(app.KeyManagement, private, key.Spec{})
			if err != nil {
				t.Errorf("%s, %s: %v", profile, algorithm, err)
				continue
			}
			if !pubkey.Same(made.Public, publicOf(private)) || made.Algorithm != algorithm || made.Fingerprint != pubkey.Fingerprint(publicOf(private)) {
				t.Errorf("%s, %s: %+v", profile, algorithm, made)
			}
			if proved := slices.Contains(d.asked, secret.PIN); proved != (profile == "piv-yubikey-4") {
				t.Errorf("%s, %s: asked %v", profile, algorithm, d.asked)
			}
			d.looking(func(ctx context.Context, c *onCard) error {
				return c.key(app.KeyManagement).Prove(ctx, publicOf(private))
			})
		}
	}
}

func TestImportedPolicies(t *testing.T) {
	d := managed(t, "piv-yubikey-5")
	if _, err := d.bring(app.Slot(0x82), brought(t, key.P256), key.Spec{PINPolicy: "never", TouchPolicy: "cached"}); err != nil {
		t.Fatal(err)
	}
	d.looking(func(ctx context.Context, c *onCard) error {
		o, err := c.key(app.Slot(0x82)).Occupant(ctx)
		if err != nil || o.PINPolicy != "never" || o.TouchPolicy != "cached" || o.Origin != "imported" {
			t.Errorf("%+v, %v", o, err)
		}
		return err
	})
	// A key that never needs the PIN proves itself without.
	old := managed(t, "piv-yubikey-4")
	delete(old.pins, secret.PIN)
	if _, err := old.bring(app.Authentication, brought(t, key.P256), key.Spec{PINPolicy: "never"}); err != nil {
		t.Error(err)
	}
}

// What cannot be imported is refused, and the key before it stays.
func TestImportThatIsRefused(t *testing.T) {
	small, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	three := *small
	three.Primes = append(slices.Clone(small.Primes), big.NewInt(3))
	exponent := *small
	exponent.E = 3
	for name, test := range map[string]struct {
		profile string
		private crypto.PrivateKey
		spec    key.Spec
	}{
		"the standard has no command": {"piv-nist", brought(t, key.P256), key.Spec{}},
		"a curve that PIV lacks":      {"piv-yubikey-5.7", brought(t, key.P521), key.Spec{}},
		"a curve of newer cards":      {"piv-yubikey-5", brought(t, key.Ed25519), key.Spec{}},
		"three primes":                {"piv-yubikey-5", &three, key.Spec{}},
		"another exponent":            {"piv-yubikey-5", &exponent, key.Spec{}},
		"a label":                     {"piv-yubikey-5", brought(t, key.P256), key.Spec{Label: "mine"}},
		"a usage that is none":        {"piv-yubikey-5", brought(t, key.P256), key.Spec{Usage: []key.Usage{key.Decrypt}}},
	} {
		d := managed(t, test.profile)
		before := d.generated(app.Authentication, key.P256)
		if _, err := d.bring(app.Authentication, test.private, test.spec); !problem.Is(err, problem.NotSupported) {
			t.Errorf("%s: %v", name, err)
		}
		if test.profile == "piv-nist" {
			continue
		}
		d.looking(func(ctx context.Context, c *onCard) error {
			public, err := c.key(app.Authentication).Public(ctx)
			if err != nil || !pubkey.Same(public, before.Public) {
				t.Errorf("%s: %v", name, err)
			}
			return nil
		})
	}
}

// Without the PIN that the proof needs, nothing is written.
func TestImportNeedsItsProof(t *testing.T) {
	d := managed(t, "piv-yubikey-4")
	before := d.generated(app.Authentication, key.P256)
	delete(d.pins, secret.PIN)
	if _, err := d.bring(app.Authentication, brought(t, key.P256), key.Spec{}); !problem.Is(err, problem.Usage) {
		t.Errorf("got %v", err)
	}
	d.pins[secret.PIN] = "123456"
	d.looking(func(ctx context.Context, c *onCard) error {
		return c.key(app.Authentication).Prove(ctx, before.Public)
	})
}

// A card that has another key afterwards is found out, by metadata or by the proof.
func TestImportOfAnotherKey(t *testing.T) {
	for _, profile := range []string{"piv-yubikey-4", "piv-yubikey-5"} {
		d := managed(t, profile)
		d.generated(app.Authentication, key.P256)
		d.dropped = 0xFE
		_, err := d.bring(app.Authentication, brought(t, key.P256), key.Spec{})
		if !problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), "not the one that was sent") {
			t.Errorf("%s: %v", profile, err)
		}
	}
}

// The certificate of the key before goes; that of the new key stays.
func TestImportBesideACertificate(t *testing.T) {
	d := managed(t, "piv-yubikey-5")
	old, fresh := brought(t, key.P256), brought(t, key.P256)
	certify := func(private crypto.PrivateKey) []byte {
		der := certificateFor(t, publicOf(private), 10)
		d.another(func(o *tool) { o.put("5FC105", iso7816.AppendTLV(nil, 0x70, der)) })
		return der
	}
	if _, err := d.bring(app.Authentication, old, key.Spec{}); err != nil {
		t.Fatal(err)
	}
	stale := certify(old)
	made, err := d.bring(app.Authentication, fresh, key.Spec{})
	if err != nil || !bytes.Equal(made.StaleCertificate, stale) {
		t.Errorf("%+v, %v", made, err)
	}
	stays := certify(fresh)
	if made, err = d.bring(app.Authentication, fresh, key.Spec{}); err != nil || made.StaleCertificate != nil {
		t.Errorf("%+v, %v", made, err)
	}
	d.looking(func(ctx context.Context, c *onCard) error {
		der, err := c.key(app.Authentication).Certificate(ctx)
		if !bytes.Equal(der, stays) {
			t.Errorf("%d bytes", len(der))
		}
		return err
	})
}

// RSA keys decrypt with both paddings.
func TestDecryptOAEP(t *testing.T) {
	d := managed(t, "piv-yubikey-5")
	made := d.generated(app.KeyManagement, key.RSA2048)
	public := made.Public.(*rsa.PublicKey)
	message, label := []byte("Floppy Head"), []byte("desk")
	for name, o := range map[string]*rsa.OAEPOptions{
		"SHA-256":        {Hash: crypto.SHA256},
		"SHA-1, a label": {Hash: crypto.SHA1, Label: label},
		"nothing inside": {Hash: crypto.SHA256},
	} {
		plain := message
		if name == "nothing inside" {
			plain = nil
		}
		hash := sha256.New()
		if o.Hash == crypto.SHA1 {
			hash = sha1.New()
		}
		ciphertext, err := rsa.EncryptOAEP(hash, rand.Reader, public, plain, o.Label)
		if err != nil {
			t.Fatal(err)
		}
		d.looking(func(ctx context.Context, c *onCard) error {
			k := c.key(app.KeyManagement)
			got, err := k.Decrypt(ctx, ciphertext, o)
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("%s: %q, %v", name, got, err)
			}
			if _, err := k.Decrypt(ctx, ciphertext, &rsa.OAEPOptions{Hash: o.Hash, Label: []byte("another")}); err == nil {
				t.Errorf("%s: another label", name)
			}
			if _, err := k.Decrypt(ctx, ciphertext[:len(ciphertext)-1], o); err == nil {
				t.Errorf("%s: another message", name)
			}
			return nil
		})
	}
}
