package piv

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
)

// certificateFor is a certificate for a public key, so long.
func certificateFor(t *testing.T, public crypto.PublicKey, length int) []byte {
	t.Helper()
	issuer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: strings.Repeat("x", max(1, length))}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, issuer)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestPutCertificate(t *testing.T) {
	for _, profile := range profiles() {
		d := managed(t, profile)
		made := d.generated(app.Authentication, key.P256)
		for _, length := range []int{10, 4000} { // the longer fits compressed alone
			der := certificateFor(t, made.Public, length)
			d.looking(func(ctx context.Context, c *onCard) error {
				k := c.key(app.Authentication)
				if err := k.PutCertificate(ctx, der, nil); err != nil {
					return err
				}
				got, err := k.ReadBackCertificate(ctx)
				if err != nil || !bytes.Equal(got, der) {
					t.Errorf("%s: %d bytes, %v", profile, len(got), err)
				}
				return nil
			})
		}
		d.looking(func(ctx context.Context, c *onCard) error {
			k := c.key(app.Authentication)
			if err := k.PutCertificate(ctx, []byte{0x30}, [][]byte{{0x30}}); !problem.Is(err, problem.NotSupported) {
				t.Error(err)
			}
			if err := k.DeleteCertificate(ctx); err != nil {
				return err
			}
			got, err := k.Certificate(ctx)
			if got != nil || err != nil {
				t.Errorf("%s: %X, %v", profile, got, err)
			}
			return nil
		})
	}
}

// Where the card does not report the key, it proves that it belongs to a certificate.
func TestProve(t *testing.T) {
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		slot      app.Slot
		algorithm key.Algorithm
	}{{app.Authentication, key.P256}, {app.Signature, key.RSA2048}, {app.KeyManagement, key.P384}, {app.CardAuthentication, key.P256}} {
		d := managed(t, "piv-nist")
		made := d.generated(test.slot, test.algorithm)
		d.looking(func(ctx context.Context, c *onCard) error {
			k := c.key(test.slot)
			if reported, err := k.Reported(ctx); reported || err != nil {
				t.Errorf("%v, %v", reported, err)
			}
			if err := k.Prove(ctx, made.Public); err != nil {
				t.Errorf("%s: %v", test.slot, err)
			}
			if err := k.Prove(ctx, stranger.Public()); !problem.Is(err, problem.Mismatch) {
				t.Errorf("%s: %v", test.slot, err)
			}
			return nil
		})
	}
	// A card whose keys agree and do not sign.
	d := managed(t, "piv-nist")
	made := d.generated(app.KeyManagement, key.P256)
	d.answer = func(cmd iso7816.Command, answer []byte) []byte {
		if cmd.INS == 0x87 && cmd.P2 == 0x9D && bytes.HasPrefix(cmd.Data[2:], []byte{0x82, 0x00, 0x81}) {
			return unhex(t, "6A80")
		}
		return answer
	}
	d.looking(func(ctx context.Context, c *onCard) error {
		k := c.key(app.KeyManagement)
		if err := k.Prove(ctx, made.Public); err != nil {
			t.Error(err)
		}
		if err := k.Prove(ctx, stranger.Public()); !problem.Is(err, problem.Mismatch) {
			t.Error(err)
		}
		return nil
	})
	d = managed(t, "piv-yubikey-5")
	d.generated(app.Authentication, key.P256)
	d.looking(func(ctx context.Context, c *onCard) error {
		k := c.key(app.Authentication)
		if reported, err := k.Reported(ctx); !reported || err != nil {
			t.Errorf("%v, %v", reported, err)
		}
		c.access.PublicKey = stranger.Public()
		if _, err := k.Public(ctx); !problem.Is(err, problem.Mismatch) {
			t.Error(err)
		}
		return nil
	})
}
