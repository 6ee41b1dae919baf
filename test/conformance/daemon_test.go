//go:build stack && cgo

package conformance

import (
	"context"
	"os"
	"os/exec"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/stack"
)

// throughDaemon are the kinds whose cards are in a virtual reader of the PC/SC
// daemon, where OpenSC's own programs see them.
var throughDaemon = []kind{
	{"OpenPGP 2.0 through the daemon", "openpgp", func(t *testing.T) *place { return openPGPInReader(t, "openpgp-2.0") }, nil},
	{"OpenPGP 3.4 through the daemon", "openpgp", func(t *testing.T) *place { return openPGPInReader(t, "openpgp-3.4") }, nil},
	{"PKCS#15 IsoApplet through the daemon", "pkcs15", func(t *testing.T) *place { return pkcs15InReader(t, "pkcs15", appletPINs()) }, nil},
	{"PKCS#15 MyEID through the daemon", "pkcs15", func(t *testing.T) *place { return pkcs15InReader(t, "myeid", myEIDPINs()) }, nil},
}

// inserted makes a simulated card and puts it into a virtual reader.
func inserted(t *testing.T, o cardsim.Options) *reader {
	t.Helper()
	const virtual = 1
	card, err := cardsim.NewCard(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	pull := stack.NewLine(t, virtual).Insert(card)
	t.Cleanup(func() { pull() })
	name := stack.ReaderName(virtual)
	return &reader{name: name, connect: func(ctx context.Context) (iso7816.Connection, error) {
		readers, err := pcsc.Open(ctx, pcsc.Options{})
		if err != nil {
			return nil, err
		}
		defer func() { _ = readers.Close() }()
		return readers.Connect(ctx, name)
	}}
}

func openPGPInReader(t *testing.T, profile string) *place {
	t.Helper()
	return openPGPIn(inserted(t, cardsim.Options{Profile: profile}))
}

func pkcs15InReader(t *testing.T, application string, pins map[secret.Name]string) *place {
	t.Helper()
	p := pkcs15In(inserted(t, cardsim.Options{Applications: []string{application}}), pins)
	p.desk.ChildEnv = os.Environ()
	initialise(t, p)
	return p
}

// TestTwoUserPINsThroughTheDaemon has OpenSC make the card.
func TestTwoUserPINsThroughTheDaemon(t *testing.T) {
	r := inserted(t, cardsim.Options{Applications: []string{"myeid"}})
	for _, args := range makeTwoPINs() {
		command := exec.Command("pkcs15-init", append([]string{"--reader", r.name}, args...)...)
		command.Env = append(os.Environ(), twoPINsEnvironment()...)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	p := pkcs15In(r, myEIDPINs())
	p.ref, p.pins[secret.PIN] = "PKCS15.46", second
	p.desk.ChildEnv = os.Environ()
	theOtherIsNone(t, p)
}
