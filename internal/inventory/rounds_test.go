package inventory

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/secret"
)

// TestRoundsOfPIV has the number of commands that a PIV card takes to be recognised, and
// both of a card with two applications.
func TestRoundsOfPIV(t *testing.T) {
	for _, test := range []struct {
		applications []string
		most         int
	}{{[]string{"piv"}, 8}, {[]string{"openpgp", "piv"}, 9}} {
		card, err := cardsim.NewCard(cardsim.Options{Profile: "piv-yubikey-5", Serial: "00BC614E", Applications: test.applications})
		if err != nil {
			t.Fatal(err)
		}
		line, err := deskWith(card).Open(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		found, err := Identify(t.Context(), line)
		if err := errors.Join(err, line.Close()); err != nil || !found.Has("piv") || found.Serial == "" {
			t.Errorf("%+v, %v", found, err)
		}
		if n := card.Traffic().APDUs; n > test.most {
			t.Errorf("%v: %d APDUs, %d are enough", test.applications, n, test.most)
		}
		if test.most == 8 && found.Serial != "12345678" {
			t.Errorf("serial %s", found.Serial)
		}
	}
}

// TestInspectAPIVCard has one command for each retired slot of an empty card, and 22
// for everything else.
func TestInspectAPIVCard(t *testing.T) {
	card, err := cardsim.NewCard(cardsim.Options{Profile: "piv-short-apdus", Applications: []string{"piv"}})
	if err != nil {
		t.Fatal(err)
	}
	info, err := Inspect(t.Context(), deskWith(card), access())
	if err != nil || len(info.Keys) != 1 || info.Keys[0].Ref != "PIV.F9" || len(info.PINs) != 2 || len(info.Facts) != 1 {
		t.Errorf("%+v, %v", info, err)
	}
	if c := info.Certificates[0]; !c.KeyUnknown || c.Public != nil {
		t.Errorf("%+v", c)
	}
	const retired = 20
	if n := card.Traffic().APDUs; n > retired+22 {
		t.Errorf("%d APDUs", n)
	}
}

// TestInspectAFullPIVCard has 26 commands for a card with four keys and certificates of
// 480 bytes, without extended length, and one for each retired slot.
func TestInspectAFullPIVCard(t *testing.T) {
	card, err := cardsim.NewCard(cardsim.Options{Profile: "piv-short-apdus", Applications: []string{"piv"}})
	if err != nil {
		t.Fatal(err)
	}
	manager := access()
	manager.Ask = func(context.Context, secret.Request) (*secret.Bytes, error) {
		return secret.New([]byte("default")), nil
	}
	for _, ref := range []string{"PIV.9A", "PIV.9C", "PIV.9D", "PIV.9E"} {
		err := family.WithKey(t.Context(), deskWith(card), ref, manager, func(ctx context.Context, _ family.At, k key.Key) error {
			made, err := k.Generate(ctx, key.Spec{Algorithm: key.P256})
			if err != nil {
				return err
			}
			return k.PutCertificate(ctx, certificateOf(t, made.Public, 480), nil)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	before := card.Traffic().APDUs
	info, err := Inspect(t.Context(), deskWith(card), access())
	if err != nil || len(info.Keys) != 5 || len(info.Certificates) != 5 {
		t.Errorf("%+v, %v", info, err)
	}
	const retired = 20
	if n := card.Traffic().APDUs - before; n > retired+26 {
		t.Errorf("%d APDUs, %d are enough", n, retired+26)
	}
}

// certificateOf is a certificate for a key, of at least so many bytes.
func certificateOf(t *testing.T, public crypto.PublicKey, length int) []byte {
	t.Helper()
	issuer, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "me"}}
	for {
		der, err := x509.CreateCertificate(rand.Reader, template, template, public, issuer)
		if err != nil {
			t.Fatal(err)
		}
		if len(der) >= length {
			return der
		}
		template.Subject.OrganizationalUnit = append(template.Subject.OrganizationalUnit, "unit")
	}
}
