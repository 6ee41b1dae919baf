package opensc_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// strangeJobs are what is done with a card that only OpenSC knows; each tells what
// it found.
var strangeJobs = []struct {
	name string
	do   func(ctx context.Context, c *pkcs15.Card) (any, error)
}{
	{"what is on it", func(ctx context.Context, c *pkcs15.Card) (any, error) {
		d, err := c.Directory(ctx)
		if err != nil {
			return nil, err
		}
		found := []any{c.Known(), d.Label, d.Serial, d.Manufacturer, d.PINs}
		for _, k := range d.Keys {
			_, err := c.PublicKey(ctx, k.ID)
			found = append(found, k.ID, k.Label, k.AuthID, k.Usage, k.Algorithm(), k.Reference, err)
		}
		return found, nil
	}},
	{"who may erase it", func(ctx context.Context, c *pkcs15.Card) (any, error) {
		s, err := c.Status(ctx)
		if err != nil || s.Erasing == nil {
			return nil, err
		}
		return fmt.Sprintf("%s %d", s.Erasing.Role(), s.Erasing.TriesLeft), nil
	}},
	{"the tries left", func(ctx context.Context, c *pkcs15.Card) (any, error) { return left(ctx, c) }},
	{"a wrong PIN", changing("02", "111111", "555555")},
	{"the tries left afterwards", func(ctx context.Context, c *pkcs15.Card) (any, error) { return left(ctx, c) }},
	{"another PIN", changing("02", "555555", "666666")},
	{"and back", changing("02", "666666", "555555")},
	{"a wrong PUK", unblocking("11111111")},
	{"the PUK", unblocking("12345678")},
	{"a key", func(ctx context.Context, c *pkcs15.Card) (any, error) {
		return nil, generate(0x45, "p256", "sign").do(ctx, c, "myeid")
	}},
	{"a signature", signing("246813")},
	{"a signature with a wrong PIN", signing("135790")},
	{"a certificate", func(ctx context.Context, c *pkcs15.Card) (any, error) {
		p, err := c.PINFor(ctx, []byte{0x45}, true)
		if err != nil {
			return nil, err
		}
		n := pkcs15.NewCertificate{ID: []byte{0x45}, Label: "Key", DER: aCertificate(), PIN: p, Now: time.Now()}
		if err := c.StoreCertificate(ctx, n, first("myeid").PIN); err != nil {
			return nil, err
		}
		there, err := c.Certificate(ctx, n.ID)
		return bytes.Equal(there, n.DER), err
	}},
	{"no certificate", func(ctx context.Context, c *pkcs15.Card) (any, error) {
		p, err := c.PINFor(ctx, []byte{0x45}, true)
		if err != nil {
			return nil, err
		}
		return nil, c.DeleteCertificate(ctx, []byte{0x45}, p, first("myeid").PIN, time.Now())
	}},
	{"no key", func(ctx context.Context, c *pkcs15.Card) (any, error) { return nil, remove(0x45).do(ctx, c, "myeid") }},
	{"an init", func(ctx context.Context, c *pkcs15.Card) (any, error) { return nil, initialise(ctx, c, "87654321") }},
	{"an init with a wrong SO PIN", func(ctx context.Context, c *pkcs15.Card) (any, error) {
		return nil, initialise(ctx, c, "11111111")
	}},
	{"an init with the right one", func(ctx context.Context, c *pkcs15.Card) (any, error) {
		return nil, initialise(ctx, c, "87654321")
	}},
	{"what is on it afterwards", func(ctx context.Context, c *pkcs15.Card) (any, error) {
		d, err := c.Directory(ctx)
		if err != nil {
			return nil, err
		}
		return fmt.Sprintf("%q %s %+v %d", d.Label, d.Serial, d.PINs, len(d.Keys)), nil
	}},
}

func signing(pin string) func(ctx context.Context, c *pkcs15.Card) (any, error) {
	return func(ctx context.Context, c *pkcs15.Card) (any, error) {
		p, err := c.PINFor(ctx, []byte{0x45}, false)
		if err != nil {
			return nil, err
		}
		k, err := c.Key(ctx, []byte{0x45})
		if err != nil {
			return nil, err
		}
		public, err := c.PublicKey(ctx, k.ID)
		if err != nil {
			return nil, err
		}
		digest := sha256.Sum256([]byte("desk"))
		signature, err := c.Sign(ctx, k, p, secret.New([]byte(pin)), digest[:], crypto.SHA256)
		return err == nil && ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), digest[:], signature), err
	}
}

var aCertificate = sync.OnceValue(func() []byte {
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "x"}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, broughtEC().Public(), broughtEC())
	if err != nil {
		panic(err)
	}
	return der
})

func initialise(ctx context.Context, c *pkcs15.Card, current string) error {
	s, err := c.Status(ctx)
	if err != nil {
		return err
	}
	f := first("myeid")
	f.Current = secret.New([]byte(current))
	if err := c.Prepare(ctx, s); err != nil {
		return err
	}
	if err := c.Create(ctx, s, f, func(string) {}); err != nil {
		return err
	}
	return c.Check(ctx, f)
}

func left(ctx context.Context, c *pkcs15.Card) (any, error) {
	d, err := c.PINs(ctx)
	if err != nil {
		return nil, err
	}
	var found []int
	for _, p := range d.PINs {
		n, err := c.Tries(ctx, p)
		if err != nil {
			return nil, err
		}
		found = append(found, n)
	}
	return found, nil
}

func pinWith(ctx context.Context, c *pkcs15.Card, id string) (pkcs15.PIN, error) {
	d, err := c.PINs(ctx)
	if err != nil {
		return pkcs15.PIN{}, err
	}
	p := *d.PIN(id)
	p.TriesLeft, err = c.Tries(ctx, p)
	return p, err
}

func changing(id, old, replacement string) func(ctx context.Context, c *pkcs15.Card) (any, error) {
	return func(ctx context.Context, c *pkcs15.Card) (any, error) {
		p, err := pinWith(ctx, c, id)
		if err != nil {
			return nil, err
		}
		return p, c.ChangePIN(ctx, p, secret.New([]byte(old)), secret.New([]byte(replacement)))
	}
}

func unblocking(puk string) func(ctx context.Context, c *pkcs15.Card) (any, error) {
	return func(ctx context.Context, c *pkcs15.Card) (any, error) {
		p, err := pinWith(ctx, c, "02")
		if err != nil {
			return nil, err
		}
		by, err := c.PUK(ctx, p)
		if err != nil {
			return nil, err
		}
		return by, c.UnblockPIN(ctx, p, by, secret.New([]byte(puk)), secret.New([]byte("555555")))
	}
}

// tell does one job and puts all that came of it into words.
func tell(ctx context.Context, open func() (*pkcs15.Card, error), do func(context.Context, *pkcs15.Card) (any, error)) (string, error) {
	c, err := open()
	if err != nil {
		return "", err
	}
	found, err := do(ctx, c)
	return fmt.Sprintf("%+v, %v", found, err), errors.Join(err, c.Close())
}

// TestACardThatOnlyOpenSCKnows has tries that OpenSC does not list: the card is
// asked, and a wrong PIN shows in them.
func TestACardThatOnlyOpenSCKnows(t *testing.T) {
	desk := withTwoPINs(t)
	desk.Strange = true
	open := func() (*pkcs15.Card, error) { return desk.Open(t.Context()) }
	fails := map[string]problem.Code{"a wrong PIN": problem.PINIncorrect, "a wrong PUK": problem.Failed, "a signature with a wrong PIN": problem.PINIncorrect, "an init with a wrong SO PIN": problem.PINIncorrect}
	want := map[string]string{"who may erase it": "so 3, <nil>", "the tries left": "[3 3 3], <nil>", "the tries left afterwards": "[3 3 2], <nil>", "a signature": "true, <nil>", "a certificate": "true, <nil>"}
	var done []string
	for _, j := range strangeJobs {
		said, err := tell(t.Context(), open, j.do)
		if code := fails[j.name]; code == "" && err != nil || code != "" && !problem.Is(err, code) {
			t.Errorf("%s: %v", j.name, err)
		}
		if want[j.name] != "" && said != want[j.name] {
			t.Errorf("%s: %s, want %s", j.name, said, want[j.name])
		}
		done = append(done, j.name)
	}
	if !slices.Contains(done, "what is on it afterwards") {
		t.Error(done)
	}
}
