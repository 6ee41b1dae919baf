package piv

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"testing"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/secret"
)

// The numbers of commands of the jobs of a desk.
func TestRounds(t *testing.T) {
	d := managed(t, "piv-short-apdus")
	count := func(most int, what string, work func() error) {
		t.Helper()
		before := d.card.Traffic().APDUs
		if err := work(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if n := d.card.Traffic().APDUs - before; n > most {
			t.Errorf("%s: %d commands, %d are enough", what, n, most)
		}
	}
	var made *key.Generated
	count(8, "gen-key", func() (err error) {
		return d.on(func(ctx context.Context, c *onCard) error {
			k := c.key(app.Authentication)
			if _, err := k.Occupant(ctx); err != nil {
				return err
			}
			made, err = k.Generate(ctx, key.Spec{})
			return err
		})
	})
	count(6, "gen-csr", func() error {
		return d.on(func(ctx context.Context, c *onCard) error {
			s, err := c.key(app.Authentication).Signer(ctx)
			if err != nil {
				return err
			}
			digest := sha256.Sum256(nil)
			_, err = s.Sign(rand.Reader, digest[:], crypto.SHA256)
			return err
		})
	})
	var der []byte
	for n := 40; len(der) < 475; n++ {
		der = certificateFor(t, made.Public, n)
	}
	count(11, "import-cert", func() error {
		return d.on(func(ctx context.Context, c *onCard) error {
			k := c.key(app.Authentication)
			if _, err := k.Public(ctx); err != nil {
				return err
			}
			if _, err := k.Certificate(ctx); err != nil {
				return err
			}
			if err := k.PutCertificate(ctx, der, nil); err != nil {
				return err
			}
			_, err := k.ReadBackCertificate(ctx)
			return err
		})
	})
	d.pins[secret.NewPIN] = "654321"
	count(4, "set-pin", func() error { return d.change(setting(pin.User)) })
}
