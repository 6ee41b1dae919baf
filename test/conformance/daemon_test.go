//go:build stack && cgo

package conformance

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"sync"
	"testing"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/stack"
	"github.com/cardctl/cardctl/test/tpm"
)

// TestConformanceThroughTheDaemon has SoftHSM2 too, whose cryptography is the system's.
func TestConformanceThroughTheDaemon(t *testing.T) {
	conform(t, append(throughDaemon, kind{"SoftHSM2", "pkcs11", softHSM, nil}))
}

// throughDaemon are the kinds whose cards are in a virtual reader of the PC/SC
// daemon, where OpenSC's own programs see them, and TPMs.
var throughDaemon = []kind{
	{"OpenPGP 2.0 through the daemon", "openpgp", func(t *testing.T) *place { return openPGPInReader(t, "openpgp-2.0") }, nil},
	{"OpenPGP 3.4 through the daemon", "openpgp", func(t *testing.T) *place { return openPGPInReader(t, "openpgp-3.4") }, nil},
	{"PKCS#15 IsoApplet through the daemon", "pkcs15", func(t *testing.T) *place { return pkcs15InReader(t, "pkcs15", appletPINs()) }, nil},
	{"PKCS#15 MyEID through the daemon", "pkcs15", func(t *testing.T) *place { return pkcs15InReader(t, "myeid", myEIDPINs()) }, nil},
	{"PIV without Yubico through the daemon", "piv", func(t *testing.T) *place { return silent(pivInReader(t, "piv-nist")) }, notWithoutYubico()},
	{"PIV YubiKey 4 through the daemon", "piv", func(t *testing.T) *place { return pivInReader(t, "piv-yubikey-4") }, []string{"a key is brought"}},
	{"PIV YubiKey through the daemon", "piv", func(t *testing.T) *place { return pivInReader(t, "piv-yubikey-5") }, nil},
	{"PIV YubiKey 5.7 through the daemon", "piv", func(t *testing.T) *place { return pivInReader(t, "piv-yubikey-5.7") }, nil},
	{"TPM", "pkcs11", func(t *testing.T) *place { return inTPM(t, "p256") }, notInTPM()},
	{"TPM, RSA", "pkcs11", func(t *testing.T) *place { return inTPM(t, "rsa2048") }, notInTPM()},
}

// notInTPM is what tpm2-pkcs11 refuses: private keys from outside, and a token that is
// initialised again.
func notInTPM() []string { return []string{"a key is brought", madeAnew} }

// theTPM is one for all tests of the process: the library that reaches its resource
// manager keeps its connection.
var theTPM = sync.OnceValues(func() (*tpm.TPM, error) {
	started, err := tpm.Start()
	if err != nil {
		return nil, err
	}
	for variable, value := range started.Environment() {
		err = errors.Join(err, os.Setenv(variable, value))
	}
	return started, err
})

func inTPM(t *testing.T, algorithm string) *place {
	t.Helper()
	started, err := theTPM()
	if err == nil {
		err = started.Clear()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(tpm.Store, t.TempDir())
	p := &place{
		app: "pkcs11", label: "conformance", ref: "pkcs11:token=conformance;object=vpn", desk: newDesk(&reader{}), algorithm: algorithm,
		pins: map[secret.Name]string{secret.PIN: "canary-736451", secret.SOPIN: "12345678", secret.NewPIN: newPIN},
		free: func(t *testing.T) {
			if err := started.Unlock(); err != nil {
				t.Fatal(err)
			}
		},
	}
	p.desk.Meant = desk.Selection{Module: "tpm2", ModuleTyped: true}
	initialise(t, p)
	p.desk.Meant.Token = p.label
	return p
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

func pivInReader(t *testing.T, profile string) *place {
	t.Helper()
	return pivIn(inserted(t, cardsim.Options{Profile: profile, Applications: []string{"piv"}}))
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
