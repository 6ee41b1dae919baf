package cardfault

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/secret"
)

// Kind is a kind of card, with the algorithms of its keys by their references.
type Kind struct {
	Application string
	Keys        map[string]string
}

// Kinds of cards that operations use.
var (
	OpenPGP    = Kind{"openpgp", map[string]string{"OPENPGP.1": "p256", "OPENPGP.2": "p256", "OPENPGP.3": "p256"}}
	OpenPGPRSA = Kind{"openpgp", map[string]string{"OPENPGP.2": "rsa2048"}}
	PIV        = Kind{"piv", map[string]string{"PIV.9A": "p256"}}
)

// Cards of a kind: the right one, another one, and one with the number of the right one.
const (
	right = "right"
	other = "other"
	twin  = "twin"
)

// pin is that of all cards.
const pin = "123456"

// make makes the cards of a kind by their names, and generates their keys.
func (k Kind) make(t *testing.T) map[string]*cardsim.Card {
	t.Helper()
	cards := map[string]*cardsim.Card{}
	for name, serial := range map[string]string{right: "12345678", other: "87654321", twin: "12345678"} {
		c, err := cardsim.NewCard(cardsim.Options{Applications: []string{k.Application}, Serial: serial})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		cards[name] = c
		d := &desk.Desk{
			Simulated: inPlace{c}, Meant: desk.Selection{Reader: desk.SimulatedPrefix + name}, Identify: family.Serials,
			StateDir: func() (string, error) { return t.TempDir(), nil },
		}
		for ref, algorithm := range k.Keys {
			a := desk.Access{Now: time.Now, Notify: func(string) {}, Ask: manages}
			err := family.WithKey(t.Context(), d, ref, a, func(ctx context.Context, _ family.At, one key.Key) error {
				_, err := one.Generate(ctx, key.Spec{Algorithm: key.Algorithm(algorithm)})
				return err
			})
			if err != nil {
				t.Fatal(fmt.Errorf("%s: %w", ref, err))
			}
		}
	}
	return cards
}

// inPlace is a simulated card that is there always.
type inPlace struct{ card *cardsim.Card }

func (i inPlace) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	return i.card.Connect(ctx)
}

func (i inPlace) List() ([]cardsim.Info, error) { return nil, nil }

// manages knows what a new card comes with.
func manages(_ context.Context, q secret.Request) (*secret.Bytes, error) {
	switch q.Name {
	case secret.AdminPIN:
		return secret.New([]byte("12345678")), nil
	case secret.ManagementKey:
		return secret.New([]byte("010203040506070801020304050607080102030405060708")), nil
	}
	return secret.New([]byte(pin)), nil
}
