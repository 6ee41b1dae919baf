package inventory

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/secret"
)

func newCard(t *testing.T, profile string, faults ...cardsim.Fault) *cardsim.Card {
	t.Helper()
	card, err := cardsim.NewCard(cardsim.Options{Profile: profile, Serial: "12345678"}, faults...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	return card
}

// box is where the only simulated card is.
type box struct{ card *cardsim.Card }

func (b box) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	return b.card.Connect(ctx)
}
func (b box) List() ([]cardsim.Info, error) { return nil, nil }

// deskWith is a desk whose only card this is.
func deskWith(card *cardsim.Card) *desk.Desk {
	return &desk.Desk{
		Simulated: box{card}, Meant: desk.Selection{Reader: desk.SimulatedPrefix + "desk"}, Detail: func(string, ...any) {},
	}
}

func access() desk.Access {
	return desk.Access{
		Ask: func(context.Context, secret.Request) (*secret.Bytes, error) {
			return secret.New([]byte("12345678")), nil
		},
		Now:    time.Now,
		Notify: func(string) {},
	}
}

func TestIdentify(t *testing.T) {
	for profile, version := range map[string]string{"": "3.4", "openpgp-2.0": "2.0", "exact-le-6cxx": "3.4", "extended-length-refused": "3.4"} {
		t.Run(profile, func(t *testing.T) {
			card := newCard(t, profile)
			line, err := deskWith(card).Open(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			got, err := Identify(t.Context(), line)
			if err := errors.Join(err, line.Close()); err != nil {
				t.Fatal(err)
			}
			if got.Type != "OpenPGP card" || !strings.HasSuffix(got.Serial, "12345678") || len(got.Serial) != 12 {
				t.Errorf("%+v", got)
			}
			if len(got.Applications) != 1 || got.Applications[0].Version != version || len(got.Applications[0].AID) != 32 {
				t.Errorf("%+v", got.Applications)
			}
			if n := card.Traffic().APDUs; profile == "" && n > 8 {
				t.Errorf("%d APDUs, 8 are enough", n)
			}
		})
	}
}

func TestInspectAFullCard(t *testing.T) {
	for _, profile := range []string{"", "wrong-pin-6982", "empty-slot-6f00", "absent-certificate-6a88", "certificate-with-tag", "chaining-refused", "extended-length-unannounced"} {
		t.Run(profile, func(t *testing.T) {
			card := newCard(t, profile)
			algorithms := map[string]key.Algorithm{"OPENPGP.1": key.Ed25519, "OPENPGP.2": key.X25519, "OPENPGP.3": key.P256}
			for ref, algorithm := range algorithms {
				fill(t, card, ref, algorithm)
			}
			before := card.Traffic().APDUs
			info, err := Inspect(t.Context(), deskWith(card), access())
			if err != nil {
				t.Fatal(err)
			}
			if len(info.Keys) != 3 || len(info.Certificates) != 3 || len(info.PINs) != 3 {
				t.Fatalf("%+v", info)
			}
			for i, k := range info.Keys {
				if k.Algorithm != string(algorithms[k.Ref]) || len(k.Keygrip) != 40 || k.Created == nil || !strings.HasPrefix(k.PublicKey, "-----BEGIN PUBLIC KEY") {
					t.Errorf("%+v", k)
				}
				if c := info.Certificates[i]; string(c.Value) != "certificate of "+k.Ref || c.Public == nil {
					t.Errorf("%+v", c)
				}
			}
			if n := card.Traffic().APDUs - before; profile == "" && n > 24 {
				t.Errorf("%d APDUs, 24 are enough", n)
			}
		})
	}
}

func fill(t *testing.T, card *cardsim.Card, ref string, algorithm key.Algorithm) {
	t.Helper()
	err := family.WithKey(t.Context(), deskWith(card), ref, access(), func(ctx context.Context, _ family.At, k key.Key) error {
		if _, err := k.Generate(ctx, key.Spec{Algorithm: algorithm}); err != nil {
			return err
		}
		return k.PutCertificate(ctx, []byte("certificate of "+ref), nil)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestInspectOfHostileCards(t *testing.T) {
	for _, profile := range []string{"endless-61xx", "truncated-templates", "garbage-templates"} {
		if _, err := Inspect(t.Context(), deskWith(newCard(t, profile)), access()); err == nil {
			t.Errorf("%s: no error", profile)
		}
	}
}

func TestInspectOfACardThatIsPulled(t *testing.T) {
	for n := 1; n <= 12; n++ {
		if _, err := Inspect(t.Context(), deskWith(newCard(t, "", cardsim.RemoveBefore(n))), access()); !errors.Is(err, iso7816.ErrCardRemoved) {
			t.Errorf("at APDU %d: %v", n, err)
		}
	}
}
