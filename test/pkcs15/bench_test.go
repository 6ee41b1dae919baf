//go:build stack

package pkcs15

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"os"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/csr"
	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/stack"
)

// PINs of the tests.
const (
	userPIN = "246813"
	newPIN  = "135790"
	puk     = "1234567890123456"
	reader  = 1
)

// deafen makes the card none that this program speaks to, so that OpenSC's tools
// do everything; or gives it its voice back.
func (b *bench) deafen(yes bool) {
	b.line.Instead = nil
	if yes {
		b.line.Instead = deaf{}
	}
}

type deaf struct{}

func (deaf) Transmit(context.Context, []byte) ([]byte, error) { return []byte{0x6A, 0x82}, nil }

// bench is a desk with a PKCS#15 card in its reader.
type bench struct {
	t     *testing.T
	desk  *stack.Desk
	card  *stack.Card
	wire  *stack.Wire
	line  *stack.Line
	local *localLine // where the card is in process, for a while
	pins  map[secret.Name]string
	tools pkcs15.Tools
	// asked are the secrets that were asked for.
	asked []secret.Name
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := benchWithoutCard(t)
	b.card, b.wire = b.desk.WiredCard("desk", reader, "--applications", "pkcs15")
	return b
}

func benchWithoutCard(t *testing.T) *bench {
	t.Helper()
	b := &bench{t: t, desk: stack.NewDesk(t), pins: map[secret.Name]string{secret.PIN: userPIN, secret.PUK: puk, secret.NewPIN: newPIN}}
	b.line = stack.NewLine(t, reader)
	b.tools.Env = os.Environ()
	b.desk.Setenv("PIN", userPIN)
	b.desk.Setenv("PUK", puk)
	b.desk.Setenv("OPENSC_DRIVER", "isoApplet")
	return b
}

func (b *bench) ask(_ context.Context, r secret.Request) (*secret.Bytes, error) {
	b.asked = append(b.asked, r.Name)
	value, ok := b.pins[r.Name]
	if !ok {
		if r.Optional {
			return nil, nil
		}
		return nil, problem.New(problem.Usage, "nobody has %s", r.Name)
	}
	return secret.New([]byte(value)), nil
}

func (b *bench) access() key.Access {
	return key.Access{Ask: b.ask, Now: time.Now, Notify: func(string) {}}
}

// open opens the card anew, as every command does.
func (b *bench) open() *pkcs15.Card {
	b.t.Helper()
	card, err := pkcs15.Open(b.t.Context(), b.at(), b.tools)
	if err != nil {
		b.t.Fatal(err)
	}
	return card
}

// done lets the card go, as every command does at its end.
func (b *bench) done() {
	b.t.Helper()
	if err := b.at().Release(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) init() (cardinit.Report, error) {
	defer b.done()
	return cardinit.InitialisePKCS15(b.t.Context(), b.open(), cardinit.Options{
		Label: "desk", Access: b.access(), Confirm: func(context.Context, string) error { return nil },
	})
}

func (b *bench) mustInit() {
	b.t.Helper()
	if report, err := b.init(); err != nil {
		b.t.Fatalf("%+v: %v", report, err)
	}
}

// key does something with a key.
func (b *bench) key(ref string, work func(key.Key) error) error {
	b.t.Helper()
	defer b.done()
	parsed, err := key.ParseReference(ref)
	if err != nil {
		return err
	}
	k, _, err := key.OpenPKCS15(b.t.Context(), b.open(), parsed, b.access())
	if err != nil {
		return err
	}
	return work(k)
}

func (b *bench) mustKey(ref string, work func(key.Key) error) {
	b.t.Helper()
	if err := b.key(ref, work); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bench) generate(ref string, spec key.Spec) (report keygen.Report) {
	b.t.Helper()
	b.mustKey(ref, func(k key.Key) (err error) {
		report, err = keygen.Generate(b.t.Context(), k, keygen.Options{Spec: spec})
		return err
	})
	return report
}

// request has the key sign a certificate request, in PEM in a file.
func (b *bench) request(ref, file string) {
	b.t.Helper()
	b.mustKey(ref, func(k key.Key) error {
		signer, err := k.Signer(b.t.Context())
		if err != nil {
			return err
		}
		subject, err := csr.ParseName("CN=Floppy Head,O=Snake Oil,C=XY")
		if err != nil {
			return err
		}
		der, err := csr.Build(b.t.Context(), signer, csr.Request{Subject: subject})
		if err == nil {
			b.desk.Write(file, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), 0o600)
		}
		return err
	})
}

func (b *bench) importCertificate(ref string, certificates ...*x509.Certificate) (report certstore.Report, err error) {
	err = b.key(ref, func(k key.Key) (err error) {
		report, err = certstore.Import(b.t.Context(), k, certificates, certstore.Options{
			Now: time.Now(), Confirm: func(context.Context, string) error { return nil },
		})
		return err
	})
	return report, err
}

func (b *bench) public(ref string) (public crypto.PublicKey) {
	b.t.Helper()
	b.mustKey(ref, func(k key.Key) (err error) {
		public, err = k.Public(b.t.Context())
		return err
	})
	return public
}
