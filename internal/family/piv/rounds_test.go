package piv

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha256"
	"path/filepath"
	"testing"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/secret"
)

// The numbers of commands of the jobs of a desk.
func TestRounds(t *testing.T) {
	d := managed(t, "piv-short-apdus")
	all := 0
	count := func(most int, what string, work func() error) {
		t.Helper()
		before := d.card.Traffic().APDUs
		if err := work(); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		n := d.card.Traffic().APDUs - before
		if all += n; n > most {
			t.Errorf("%s: %d commands, %d are enough", what, n, most)
		}
	}
	file := filepath.Join(t.TempDir(), "key")
	init := func(o card.InitOptions) func() error {
		return func() error {
			pins := d.pins
			defer func() { d.pins = pins }()
			d.pins = map[secret.Name]string{secret.PIN: "123456", secret.PUK: "87654321", secret.ManagementKey: newKey}
			_, err := d.initialise(o)
			return err
		}
	}
	count(26, "init of a fresh card", init(card.InitOptions{}))
	d.pins[secret.ManagementKey] = newKey
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
	importCert := func(r key.Renewal) error {
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
			if _, err := k.ReadBackCertificate(ctx); err != nil {
				return err
			}
			_, err := k.RenewIdentifier(ctx, r)
			return err
		})
	}
	count(14, "import-cert", func() error { return importCert(key.RenewIfFree) })
	if most := 54; all > most {
		t.Errorf("from a fresh card to a certificate: %d commands, %d are enough", all, most)
	}
	if err := d.on(func(ctx context.Context, c *onCard) error { return c.key(app.Authentication).DeleteCertificate(ctx) }); err != nil {
		t.Error(err)
	}
	count(11, "import-cert --keep-chuid", func() error { return importCert(key.KeepIdentifier) })
	d.pins[secret.NewPIN] = "654321"
	count(4, "set-pin", func() error { return d.change(setting(pin.User)) })
	const guesses = 6
	d.fill(475)
	count(28+guesses, "init of a used card", init(card.InitOptions{}))
	d.fill(475)
	count(30+guesses, "init of a used card --pin-tries", init(card.InitOptions{PINTries: 5}))
	d.pins[secret.ManagementKey] = newKey
	count(9, "set-management-key", func() error { _, err := d.setKey(card.NewManagementKey{File: file}); return err })
	fresh := managed(t, "piv-short-apdus")
	if _, err := fresh.setKey(card.NewManagementKey{File: file + "2"}); err != nil {
		t.Error(err)
	}
	if n, most := fresh.card.Traffic().APDUs, 8; n > most {
		t.Errorf("set-management-key: %d commands, %d are enough", n, most)
	}
}

// fill gives each slot of every card a new key, and a certificate of at least length bytes.
func (d *table) fill(length int) {
	d.t.Helper()
	for _, slot := range []app.Slot{app.Authentication, app.Signature, app.KeyManagement, app.CardAuthentication} {
		public := d.generated(slot, key.P256).Public
		var der []byte
		for n := 1; len(der) < length; n++ {
			der = certificateFor(d.t, public, n)
		}
		d.looking(func(ctx context.Context, c *onCard) error { return c.key(slot).PutCertificate(ctx, der, nil) })
	}
}
