package attest_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/attest"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// shelf is a card that writes its statements over certificates, and who works with it.
type shelf struct {
	*table
	state string
	pins  map[secret.Name]string
	// typed says that a person types; waiting is called then, when the card is let go.
	typed   bool
	waiting func()
	refuse  bool
	asked   []string
	told    []string
	// before is called before each command with its number, the first is 1.
	before func(n int)
	sent   []iso7816.Command
}

const (
	place     = "OPENPGP.3"
	userPIN   = "123456"
	adminPIN  = "12345678"
	attestINS = 0xFB
)

func newShelf(t *testing.T, profile string, faults ...cardsim.Fault) *shelf {
	t.Helper()
	card, err := cardsim.NewCard(cardsim.Options{Profile: profile, Serial: "12345678"}, faults...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = card.Close() })
	return &shelf{
		table: &table{t: t, card: card}, state: t.TempDir(),
		pins: map[secret.Name]string{secret.PIN: userPIN, secret.AdminPIN: adminPIN},
	}
}

func (s *shelf) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	c, err := s.card.Connect(ctx)
	return counted{c, s}, err
}

type counted struct {
	iso7816.Connection
	s *shelf
}

func (c counted) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	cmd, _, err := iso7816.ParseCommand(bytes.Clone(apdu))
	if err != nil {
		return nil, err
	}
	c.s.sent = append(c.s.sent, cmd)
	if c.s.before != nil {
		c.s.before(len(c.s.sent))
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return c.Connection.Transmit(ctx, apdu)
}

func (s *shelf) desk() *desk.Desk {
	return &desk.Desk{
		Simulated: s, Meant: desk.Selection{Reader: desk.SimulatedPrefix + "card"},
		StateDir: func() (string, error) { return s.state, nil },
	}
}

func (s *shelf) access() desk.Access {
	wait := func(waiting func() error) error {
		if !s.typed || waiting == nil {
			return nil
		}
		err := waiting()
		if s.waiting != nil {
			s.waiting()
		}
		return err
	}
	return desk.Access{
		Now: time.Now, Notify: func(message string) { s.told = append(s.told, message) },
		Ask: func(_ context.Context, r secret.Request) (*secret.Bytes, error) {
			value, given := s.pins[r.Name]
			switch {
			case !given && r.Optional:
				return nil, nil
			case !given:
				return nil, problem.New(problem.Usage, "no %s", r.Name)
			}
			return secret.New([]byte(value)), wait(r.Waiting)
		},
		Confirm: func(_ context.Context, q desk.Question) error {
			s.asked = append(s.asked, q.String())
			if s.refuse {
				return problem.New(problem.Refused, "not confirmed")
			}
			return wait(q.Waiting)
		},
	}
}

// withKey works on the key, which costs commands that are not counted.
func (s *shelf) withKey(work func(context.Context, key.Key) error) {
	s.t.Helper()
	counting := s.before
	s.before = nil
	err := family.WithKey(context.Background(), s.desk(), place, s.access(), func(ctx context.Context, _ family.At, k key.Key) error { return work(ctx, k) })
	if err != nil {
		s.t.Fatal(err)
	}
	s.before, s.sent = counting, nil
}

// generate makes the key; certify stores a certificate for it, and returns it.
func (s *shelf) generate() {
	s.t.Helper()
	if _, err := keygen.Generate(s.t.Context(), s.desk(), s.access(), keygen.Wish{Key: place, Algorithm: "p256"}); err != nil {
		s.t.Fatal(err)
	}
	s.sent = nil
}

func (s *shelf) certify() []byte {
	s.t.Helper()
	s.generate()
	var der []byte
	s.withKey(func(ctx context.Context, k key.Key) error {
		public, err := k.Public(ctx)
		if err != nil {
			return err
		}
		der = certificateFor(s.t, public)
		return k.PutCertificate(ctx, der, nil)
	})
	return der
}

func certificateFor(t *testing.T, public crypto.PublicKey) []byte {
	t.Helper()
	ca, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: "me"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, ca)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// stored is the certificate of the key on the card.
func (s *shelf) stored() (der []byte) {
	s.t.Helper()
	s.withKey(func(ctx context.Context, k key.Key) (err error) {
		der, err = k.Certificate(ctx)
		return err
	})
	return der
}

// files are those with certificates, by their whole names.
func (s *shelf) files() map[string][]byte {
	s.t.Helper()
	files := map[string][]byte{}
	names, err := filepath.Glob(filepath.Join(s.state, "certificates", "*"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, name := range names {
		if files[name], err = os.ReadFile(name); err != nil {
			s.t.Fatal(err)
		}
		if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
			s.t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	return files
}

func (s *shelf) attest(ctx context.Context) (attest.Report, error) {
	s.t.Helper()
	s.sent = nil
	return attest.Attest(ctx, s.desk(), s.access(), place, attest.Options{CA: s.ca(), Now: time.Now()})
}

func (s *shelf) used() (list []byte) {
	for _, cmd := range s.sent {
		list = append(list, cmd.INS)
	}
	return list
}

// forKey is a certificate for the key.
func (s *shelf) forKey() (der []byte) {
	s.t.Helper()
	s.withKey(func(ctx context.Context, k key.Key) error {
		public, err := k.Public(ctx)
		der = certificateFor(s.t, public)
		return err
	})
	return der
}

func (s *shelf) generateRSA() {
	if _, err := keygen.Generate(s.t.Context(), s.desk(), s.access(), keygen.Wish{Key: place, Algorithm: "rsa2048"}); err != nil {
		s.t.Fatal(err)
	}
	s.sent = nil
}

func (s *shelf) imported() {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		s.t.Fatal(err)
	}
	s.withKey(func(ctx context.Context, k key.Key) error {
		_, err := k.Import(ctx, private, key.Spec{})
		return err
	})
}
