package certstore

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// fakeKey is a key slot that keeps one certificate in memory and notes what is
// done to it.
type fakeKey struct {
	key.Key
	pub    crypto.PublicKey
	stored []byte
	chain  [][]byte
	limit  int
	holds  bool
	did    []string

	// put, where it is set, is done instead of the first write.
	put func(leaf []byte) error
	// readErr is what every read after a write comes back with.
	readErr error
	// keep makes Delete do nothing.
	keep bool
}

func (k *fakeKey) Reference() key.Reference {
	return key.Reference{Family: "openpgp", ID: "3", Text: "OPENPGP.3"}
}

func (k *fakeKey) Public(ctx context.Context) (crypto.PublicKey, error) {
	if k.pub == nil {
		return nil, problem.New(problem.NotFound, "there is no key in this slot")
	}
	return k.pub, ctx.Err()
}

func (k *fakeKey) Certificate(ctx context.Context) ([]byte, error) {
	k.did = append(k.did, "read")
	return k.stored, ctx.Err()
}

func (k *fakeKey) CertificateLimit(context.Context) (int, error) { return k.limit, nil }
func (k *fakeKey) HoldsChain() bool                              { return k.holds }

func (k *fakeKey) PutCertificate(ctx context.Context, leaf []byte, chain [][]byte) error {
	k.did = append(k.did, "write")
	if put := k.put; put != nil {
		k.put = nil
		return put(leaf)
	}
	if len(chain) > 0 && !k.holds {
		return errors.New("a chain for a card without a place for it")
	}
	k.stored, k.chain = bytes.Clone(leaf), chain
	return ctx.Err()
}

func (k *fakeKey) ReadBackCertificate(ctx context.Context) ([]byte, error) {
	k.did = append(k.did, "read back")
	if k.readErr != nil {
		return nil, k.readErr
	}
	return k.stored, ctx.Err()
}

func (k *fakeKey) DeleteCertificate(context.Context) error {
	k.did = append(k.did, "delete")
	if !k.keep {
		k.stored = nil
	}
	return nil
}

// now is the time of all tests.
var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// pki is a root, an issuer below it, and certificates of one key.
type pki struct {
	root, issuer       *x509.Certificate
	signer             *ecdsa.PrivateKey // of the leaves
	leaf, older        *x509.Certificate // valid now, the second issued before
	expired, future    *x509.Certificate
	stranger           *x509.Certificate // of another key, from the same issuer
	otherRoot          *x509.Certificate
	rootKey, issuerKey *ecdsa.PrivateKey
}

var fixtures = sync.OnceValue(func() *pki {
	p := &pki{}
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	newKey := func() *ecdsa.PrivateKey {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		must(err)
		return k
	}
	serial := int64(0)
	issue := func(name string, ca bool, from, to time.Time, pub *ecdsa.PrivateKey, parent *x509.Certificate, by *ecdsa.PrivateKey) *x509.Certificate {
		serial++
		template := &x509.Certificate{
			SerialNumber: big.NewInt(0xAB00 + serial), Subject: pkix.Name{CommonName: name, Organization: []string{"Snake Oil, Ltd"}},
			NotBefore: from, NotAfter: to, IsCA: ca, BasicConstraintsValid: true,
		}
		if ca {
			template.KeyUsage = x509.KeyUsageCertSign
		}
		if parent == nil {
			parent = template
		}
		der, err := x509.CreateCertificate(rand.Reader, template, parent, pub.Public(), by)
		must(err)
		c, err := x509.ParseCertificate(der)
		must(err)
		return c
	}
	year := func(n int) time.Time { return now.AddDate(n, 0, 0) }
	p.rootKey, p.issuerKey, p.signer = newKey(), newKey(), newKey()
	p.root = issue("root", true, year(-10), year(10), p.rootKey, nil, p.rootKey)
	p.issuer = issue("issuer", true, year(-9), year(9), p.issuerKey, p.root, p.rootKey)
	p.older = issue("older", false, year(-2), year(1), p.signer, p.issuer, p.issuerKey)
	p.leaf = issue("leaf", false, year(-1), year(1), p.signer, p.issuer, p.issuerKey)
	p.expired = issue("expired", false, year(-3), year(-2), p.signer, p.issuer, p.issuerKey)
	p.future = issue("future", false, year(1), year(2), p.signer, p.issuer, p.issuerKey)
	p.stranger = issue("stranger", false, year(-1), year(1), newKey(), p.issuer, p.issuerKey)
	other := newKey()
	p.otherRoot = issue("root", true, year(-10), year(10), other, nil, other)
	return p
})

func typed(password string) secret.Asker {
	return func(context.Context, secret.Request) (*secret.Bytes, error) {
		return secret.New([]byte(password)), nil
	}
}

func nobody(context.Context, secret.Request) (*secret.Bytes, error) {
	return nil, problem.New(problem.Usage, "the password is missing")
}

// yes confirms and notes the question.
func yes(question *string) desk.Confirm {
	return func(_ context.Context, q desk.Question) error {
		*question = q.Asked().String()
		return nil
	}
}

func no(context.Context, desk.Question) error {
	return problem.New(problem.Refused, "nobody confirmed")
}

func subjects(certificates []*cert.Certificate) []string {
	var list []string
	for _, c := range certificates {
		list = append(list, c.Subject.CommonName())
	}
	return list
}

func certificates(list ...*x509.Certificate) []*cert.Certificate {
	var read []*cert.Certificate
	for _, standard := range list {
		c, err := cert.Of(standard)
		if err != nil {
			panic(err)
		}
		read = append(read, c)
	}
	return read
}

func wantProblem(t *testing.T, err error, code problem.Code, words ...string) {
	t.Helper()
	if !problem.Is(err, code) {
		t.Fatalf("error %v, want a problem %s", err, code)
	}
	for _, w := range words {
		var p *problem.Error
		errors.As(err, &p)
		if text := fmt.Sprint(p, " ", p.Next, p.Unless); !bytes.Contains([]byte(text), []byte(w)) {
			t.Errorf("no %q in %q", w, text)
		}
	}
}
