//go:build stack && cgo

package conformance

import (
	"context"
	"os"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/stack"
)

// throughDaemon are the families whose cards are in a virtual reader of the PC/SC
// daemon. OpenSC, which writes PKCS#15 cards, sees cards only there.
var throughDaemon = []family{
	{"OpenPGP 2.0 through the daemon", func(t *testing.T) *place { return openPGPInReader(t, "openpgp-2.0") }},
	{"OpenPGP 3.4 through the daemon", func(t *testing.T) *place { return openPGPInReader(t, "openpgp-3.4") }},
	{"PKCS#15 IsoApplet through the daemon", func(t *testing.T) *place { return pkcs15InReader(t, "pkcs15", appletPINs()) }},
	{"PKCS#15 MyEID through the daemon", func(t *testing.T) *place { return pkcs15InReader(t, "myeid", myEIDPINs()) }},
}

// insert makes a simulated card and puts it into a virtual reader.
func insert(t *testing.T, o cardsim.Options) *stack.Line {
	t.Helper()
	const reader = 1
	card, err := cardsim.NewCard(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	line := stack.NewLine(t, reader)
	pull := line.Insert(card)
	t.Cleanup(func() { pull() })
	return line
}

func openPGPInReader(t *testing.T, profile string) *place {
	t.Helper()
	line := insert(t, cardsim.Options{Profile: profile})
	p := openPGP(t, profile)
	p.open = func(ctx context.Context, ref key.Reference, access key.Access) (key.Key, func() error, error) {
		ch, err := line.Channel(ctx)
		if err != nil {
			return nil, nil, err
		}
		k, err := key.Open(ctx, ch, ref, access)
		return k, line.Release, err
	}
	return p
}

func pkcs15InReader(t *testing.T, application string, pins map[secret.Name]string) *place {
	t.Helper()
	line := insert(t, cardsim.Options{Applications: []string{application}})
	return pkcs15Place(t, line, pkcs15.Tools{Env: os.Environ()}, pins)
}
