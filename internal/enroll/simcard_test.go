package enroll

import (
	"context"
	"crypto/x509"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/certs"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// simulated is a card in a reader of its own.
type simulated struct {
	t       testing.TB
	card    *cardsim.Card
	state   string
	secrets map[secret.Name]string
	// before is called before each command, and its error is that of the reader.
	before func(cmd iso7816.Command) error
	count  int
}

// newCard is a simulated card with a key in a place.
func newCard(t testing.TB, profile, ref, algorithm string) *simulated {
	t.Helper()
	card, err := cardsim.NewCard(cardsim.Options{Profile: profile})
	check(t, err)
	t.Cleanup(func() { _ = card.Close() })
	d := &simulated{t: t, card: card, state: t.TempDir(), secrets: map[secret.Name]string{}}
	_, err = keygen.Generate(t.Context(), d.desk(), d.access(), keygen.Wish{Key: ref, Algorithm: algorithm})
	check(t, err)
	return d
}

func (d *simulated) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	c, err := d.card.Connect(ctx)
	return tapped{c, d}, err
}

func (d *simulated) List() ([]cardsim.Info, error) { return nil, nil }

type tapped struct {
	iso7816.Connection
	d *simulated
}

func (c tapped) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	c.d.count++
	if c.d.before != nil {
		cmd, _, err := iso7816.ParseCommand(apdu)
		if err == nil {
			err = c.d.before(cmd)
		}
		if err != nil {
			return nil, err
		}
	}
	return c.Connection.Transmit(ctx, apdu)
}

func (d *simulated) desk() *desk.Desk {
	return &desk.Desk{
		Simulated: d, Meant: desk.Selection{Reader: desk.SimulatedPrefix + "card"},
		StateDir: func() (string, error) { return d.state, nil },
	}
}

// access gives secrets: of the issuer, those that were set, of a card, its factory values.
func (d *simulated) access() desk.Access {
	return desk.Access{
		Now: time.Now, Notify: func(string) {},
		Ask: func(_ context.Context, q secret.Request) (*secret.Bytes, error) {
			if value, has := d.secrets[q.Name]; has {
				return secret.New([]byte(value)), nil
			}
			if q.Optional {
				return nil, nil
			}
			switch q.Name {
			case secret.PIN, secret.IssuerPIN:
				return secret.New([]byte("123456")), nil
			case secret.AdminPIN:
				return secret.New([]byte("12345678")), nil
			}
			return secret.New([]byte(secret.FactoryValue)), nil
		},
	}
}

// certify puts a certificate of an authority on the card.
func (d *simulated) certify(ref string, by *certs.Authority, template x509.Certificate) *x509.Certificate {
	d.t.Helper()
	var made *x509.Certificate
	d.with(ref, func(ctx context.Context, here family.At, k key.Key) error {
		public, err := k.Public(ctx)
		check(d.t, err)
		made = by.Issue(d.t, template, public)
		_, err = certstore.ImportOn(ctx, k, certs.All(d.t, made), certstore.Options{Now: time.Now(), Confirm: here.Access.Confirm})
		return err
	})
	return made
}

func (d *simulated) with(ref string, do func(context.Context, family.At, key.Key) error) {
	d.t.Helper()
	check(d.t, family.WithKey(d.t.Context(), d.desk(), ref, d.access(), do))
}
