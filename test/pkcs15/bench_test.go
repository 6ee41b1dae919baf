//go:build stack

package pkcs15

import (
	"context"
	"crypto"
	"crypto/x509"
	"os"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/test/certs"
	"github.com/cardctl/cardctl/test/stack"
)

// PINs of the tests.
const (
	userPIN = "246813"
	newPIN  = "135790"
	puk     = "1234567890123456"
	reader  = 1
)

// deafen makes the card none that this program knows, so that OpenSC's tools do
// everything; or gives it its voice back.
func (b *bench) deafen(yes bool) { b.deaf = yes }

// connection is the card as this program sees it.
type connection struct {
	iso7816.Connection
	bench *bench
}

func (c connection) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if c.bench.deaf {
		return []byte{0x6A, 0x82}, nil
	}
	answer, err := c.Connection.Transmit(ctx, apdu)
	c.bench.removed = c.bench.removed || wasRemoved(err)
	return answer, err
}

type service = desk.Readers

// readers are those of the PC/SC daemon.
type readers struct {
	service
	bench *bench
}

func (r readers) Connect(ctx context.Context, name string) (iso7816.Connection, error) {
	c, err := r.service.Connect(ctx, name)
	if err != nil {
		return nil, err
	}
	return connection{c, r.bench}, nil
}

func (b *bench) openReaders(ctx context.Context, o pcsc.Options) (desk.Readers, error) {
	r, err := pcsc.Open(ctx, o)
	if err != nil {
		return nil, err
	}
	return readers{r, b}, nil
}

// inProcess are the cards of a desk that are in no reader: the one of the bench.
type inProcess struct{ bench *bench }

func (p inProcess) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	c, err := p.bench.local.Connect(ctx)
	p.bench.removed = p.bench.removed || wasRemoved(err)
	if err != nil {
		return nil, err
	}
	return connection{c, p.bench}, nil
}

func (inProcess) List() ([]cardsim.Info, error) { return nil, nil }

// at is the desk that the workflows work on.
func (b *bench) at() *desk.Desk {
	d := &desk.Desk{
		OpenReaders: b.openReaders, Simulated: inProcess{b}, Modules: desk.NewModules(), ChildEnv: b.env,
		Meant: desk.Selection{Reader: stack.ReaderName(reader), App: "pkcs15"},
	}
	if b.local != nil {
		d.Meant.Reader = desk.SimulatedPrefix + "card"
	}
	return d
}

// bench is a desk with a PKCS#15 card in its reader.
type bench struct {
	t     *testing.T
	desk  *stack.Desk
	card  *stack.Card
	wire  *stack.Wire
	line  *stack.Line
	local *cardsim.Card // where the card is in process, for a while
	pins  map[secret.Name]string
	env   []string // of OpenSC's programs
	// allowed are unknown tries: an IsoApplet does not tell those of its PUK, and a
	// deaf card none.
	allowed bool
	// deaf says that the card answers this program nothing.
	deaf bool
	// removed says that the card was found to be gone.
	removed bool
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
	b := &bench{t: t, allowed: true, desk: stack.NewDesk(t), pins: map[secret.Name]string{secret.PIN: userPIN, secret.PUK: puk, secret.NewPIN: newPIN}}
	b.line = stack.NewLine(t, reader)
	b.env = os.Environ()
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
		return nil, problem.Wrap(problem.Usage, secret.ErrMissing, "nobody has "+string(r.Name))
	}
	return secret.New([]byte(value)), nil
}

func (b *bench) access() desk.Access {
	return desk.Access{
		Ask: b.ask, Confirm: func(context.Context, desk.Question) error { return nil },
		AllowUnknownTries: b.allowed, Now: time.Now, Notify: func(string) {},
	}
}

func (b *bench) init() (cardinit.Report, error) {
	var given []secret.Name
	for name := range b.pins {
		given = append(given, name)
	}
	return cardinit.Initialise(b.t.Context(), b.at(), b.access(), cardinit.Options{Label: "desk", Named: given})
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
	return family.WithKey(b.t.Context(), b.at(), ref, b.access(), func(_ context.Context, _ family.At, k key.Key) error { return work(k) })
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
		report, err = keygen.GenerateOn(b.t.Context(), k, keygen.Options{Spec: spec})
		return err
	})
	return report
}

// request has the key sign a certificate request, in PEM in a file.
func (b *bench) request(ref, file string) {
	b.t.Helper()
	subject, err := csr.ParseName("CN=Floppy Head,O=Snake Oil,C=XY")
	if err != nil {
		b.t.Fatal(err)
	}
	made, err := csr.Sign(b.t.Context(), b.at(), b.access(), ref, csr.Request{Subject: subject}, 0, time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	b.desk.Write(file, string(made.PEM()), 0o600)
}

func (b *bench) importCertificate(ref string, certificates ...*x509.Certificate) (certstore.Report, error) {
	return certstore.Import(b.t.Context(), b.at(), b.access(), ref, certs.All(b.t, certificates...), certstore.Options{Now: time.Now()})
}

func (b *bench) public(ref string) (public crypto.PublicKey) {
	b.t.Helper()
	b.mustKey(ref, func(k key.Key) (err error) {
		public, err = k.Public(b.t.Context())
		return err
	})
	return public
}
