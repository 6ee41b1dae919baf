//go:build cgo

package conformance

import (
	"context"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/softhsm"
)

// family is a kind of card or token.
type family struct {
	name string
	make func(t *testing.T) *place
}

// families are what the suite runs over, in process.
var families = []family{
	{"OpenPGP 2.0", func(t *testing.T) *place { return openPGP(t, "openpgp-2.0") }},
	{"OpenPGP 3.4", func(t *testing.T) *place { return openPGP(t, "openpgp-3.4") }},
	{"PKCS#15 IsoApplet", func(t *testing.T) *place { return pkcs15InProcess(t, "pkcs15", appletPINs()) }},
	{"PKCS#15 MyEID", func(t *testing.T) *place { return pkcs15InProcess(t, "myeid", myEIDPINs()) }},
	{"SoftHSM2", softHSM},
}

// place is an empty slot for a key on a card or token that is ready for work.
type place struct {
	ref  string
	pins map[secret.Name]string
	// open opens the key, and returns what lets the card go.
	open func(ctx context.Context, ref key.Reference, access key.Access) (key.Key, func() error, error)

	asked int
}

func (p *place) access() key.Access {
	return key.Access{
		Ask: func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
			p.asked++
			return secret.New([]byte(p.pins[r.Name])), nil
		},
		Now:    time.Now,
		Notify: func(string) {},
	}
}

// use takes the card, works with the key, and lets the card go.
func (p *place) use(t *testing.T, work func(k key.Key)) {
	t.Helper()
	ref, err := key.ParseReference(p.ref)
	if err != nil {
		t.Fatal(err)
	}
	k, release, err := p.open(t.Context(), ref, p.access())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := release(); err != nil {
			t.Error(err)
		}
	}()
	work(k)
}

// withPINs is the same place with other PINs typed at it.
func (p *place) withPINs(pin string) *place {
	other := &place{ref: p.ref, open: p.open, pins: make(map[secret.Name]string)}
	for name := range p.pins {
		other.pins[name] = pin
	}
	return other
}

func openPGP(t *testing.T, profile string) *place {
	t.Helper()
	card, err := cardsim.NewCard(cardsim.Options{Profile: profile})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	return &place{
		ref:  "OPENPGP.3",
		pins: map[secret.Name]string{secret.PIN: "123456", secret.AdminPIN: "12345678"},
		open: func(ctx context.Context, ref key.Reference, access key.Access) (key.Key, func() error, error) {
			c, err := card.Connect(ctx)
			if err != nil {
				return nil, nil, err
			}
			can := iso7816.CapabilitiesOf(iso7816.HistoricalBytes(c.ATR()))
			k, err := key.Open(ctx, iso7816.NewChannel(c, can), ref, access)
			return k, func() error { return c.Close(true) }, err
		},
	}
}

func softHSM(t *testing.T) *place {
	t.Helper()
	token := softhsm.New(t, "conformance")
	m, err := p11.Load(t.Context(), token.Module)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return &place{
		ref:  "pkcs11:token=conformance;object=vpn",
		pins: map[secret.Name]string{secret.PIN: token.PIN},
		open: func(ctx context.Context, ref key.Reference, access key.Access) (key.Key, func() error, error) {
			k, session, err := key.OpenToken(ctx, m, ref, access)
			if err != nil {
				return nil, nil, err
			}
			return k, session.Close, nil
		},
	}
}
