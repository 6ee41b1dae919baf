//go:build cgo

package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/opensc"
)

// The secrets of PKCS#15 cards.
func appletPINs() map[secret.Name]string {
	return map[secret.Name]string{secret.PIN: "246813", secret.PUK: "1234567890123456"}
}

func myEIDPINs() map[secret.Name]string {
	return map[secret.Name]string{secret.PIN: "246813", secret.PUK: "12345678", secret.SOPIN: "87654321"}
}

// pkcs15InProcess is a card on which a stand-in does what OpenSC's programs do.
func pkcs15InProcess(t *testing.T, application string, pins map[secret.Name]string) *place {
	t.Helper()
	card, err := cardsim.NewCard(cardsim.Options{Applications: []string{application}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	desk := opensc.NewDesk(card)
	return pkcs15Place(t, desk, desk.Tools(), pins)
}

// pkcs15Place is a card on a line, after an init.
func pkcs15Place(t *testing.T, line pkcs15.Line, tools pkcs15.Tools, pins map[secret.Name]string) *place {
	t.Helper()
	card, err := pkcs15.Open(t.Context(), line, tools)
	if err != nil {
		t.Fatal(err)
	}
	_, err = cardinit.InitialisePKCS15(t.Context(), card, cardinit.Options{
		Label: "conformance", Access: key.Access{Ask: known(pins), Now: time.Now, Notify: func(string) {}}, Confirm: yes,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := card.Close(); err != nil {
		t.Fatal(err)
	}
	return &place{
		ref:  "PKCS15.45",
		pins: pins,
		open: func(ctx context.Context, ref key.Reference, access key.Access) (key.Key, func() error, error) {
			card, err := pkcs15.Open(ctx, line, tools)
			if err != nil {
				return nil, nil, err
			}
			k, closer, err := key.OpenPKCS15(ctx, card, ref, access)
			if err != nil {
				return nil, nil, err
			}
			return k, closer.Close, nil
		},
	}
}

// known gives the secrets that there are, and none of others.
func known(pins map[secret.Name]string) secret.Asker {
	return func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
		value, ok := pins[r.Name]
		if !ok {
			return nil, nil
		}
		return secret.New([]byte(value)), nil
	}
}
