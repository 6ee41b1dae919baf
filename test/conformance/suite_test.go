//go:build cgo

package conformance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/test/softhsm"
)

// wrongPIN has a length that every family takes.
const wrongPIN = "wrongpin"

// suite is what holds for every key, in this order on a place of its own.
var suite = []struct {
	name string
	test func(t *testing.T, p *place)
}{
	{"an empty slot", emptySlot},
	{"a key is made and signs", makeAndSign},
	{"a key is not overwritten", occupied},
	{"a key is replaced by its fingerprint", replace},
	{"a key is brought", bring},
	{"a certificate comes and goes", certificates},
	{"a wrong PIN is sent once", wrong},
}

func TestConformance(t *testing.T) {
	for _, family := range append(families, throughDaemon...) {
		t.Run(family.name, func(t *testing.T) {
			for _, s := range suite {
				t.Run(s.name, func(t *testing.T) { s.test(t, family.make(t)) })
			}
		})
	}
}

// generate makes a key by the workflow, and tells what it reports.
func generate(t *testing.T, p *place, o keygen.Options) (report keygen.Report, err error) {
	t.Helper()
	p.use(t, func(k key.Key) { report, err = keygen.Generate(t.Context(), k, o) })
	return report, err
}

func made(t *testing.T, p *place) keygen.Report {
	t.Helper()
	report, err := generate(t, p, keygen.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// occupant is what another run sees in the slot.
func occupant(t *testing.T, p *place) (o *key.Occupant) {
	t.Helper()
	p.use(t, func(k key.Key) {
		var err error
		if o, err = k.Occupant(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	return o
}

func public(t *testing.T, p *place) (pub crypto.PublicKey) {
	t.Helper()
	p.use(t, func(k key.Key) {
		var err error
		if pub, err = k.Public(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
	return pub
}

// request has the key sign a request, which is checked.
func request(ctx context.Context, k key.Key) error {
	signer, err := k.Signer(ctx)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, signer)
	if err != nil {
		return err
	}
	parsed, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return err
	}
	return parsed.CheckSignature()
}

func signs(t *testing.T, p *place) {
	t.Helper()
	p.use(t, func(k key.Key) {
		if err := request(t.Context(), k); err != nil {
			t.Error(err)
		}
	})
}

func emptySlot(t *testing.T, p *place) {
	if o := occupant(t, p); o != nil {
		t.Errorf("there is %+v", o)
	}
	p.use(t, func(k key.Key) {
		if der, err := k.Certificate(t.Context()); der != nil || err != nil {
			t.Errorf("certificate %x, %v", der, err)
		}
		if _, err := k.Public(t.Context()); !problem.Is(err, problem.NotFound) {
			t.Errorf("Public: %v", err)
		}
		if _, err := k.Signer(t.Context()); !problem.Is(err, problem.NotFound) {
			t.Errorf("Signer: %v", err)
		}
	})
}

func makeAndSign(t *testing.T, p *place) {
	report := made(t, p)
	if p.asked != 1 {
		t.Errorf("asked for %d PINs", p.asked)
	}
	if report.Ref != p.ref || report.Fingerprint == "" || report.Keygrip == "" {
		t.Errorf("reported %+v", report)
	}
	if o := occupant(t, p); o == nil || o.Fingerprint != report.Fingerprint || o.Algorithm != report.Algorithm || o.Unfinished {
		t.Errorf("there is %+v, reported was %+v", o, report)
	}
	signs(t, p)
}

func occupied(t *testing.T, p *place) {
	report := made(t, p)
	p.asked = 0
	for _, named := range []string{"", "0000000000000000000000000000000000000000"} {
		if _, err := generate(t, p, keygen.Options{Replace: named}); !problem.Is(err, problem.Refused) {
			t.Errorf("--replace %q: %v", named, err)
		}
	}
	if p.asked > 0 {
		t.Error("a PIN was asked for in vain")
	}
	if o := occupant(t, p); o == nil || o.Fingerprint != report.Fingerprint {
		t.Errorf("there is %+v", o)
	}
}

func replace(t *testing.T, p *place) {
	first := made(t, p)
	second, err := generate(t, p, keygen.Options{Replace: first.Fingerprint})
	if err != nil {
		t.Fatal(err)
	}
	if second.Replaced != first.Fingerprint || second.Fingerprint == first.Fingerprint {
		t.Errorf("reported %+v", second)
	}
	if o := occupant(t, p); o == nil || o.Fingerprint != second.Fingerprint {
		t.Errorf("there is %+v", o)
	}
	signs(t, p)
}

var brought = sync.OnceValue(func() *rsa.PrivateKey {
	private, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return private
})

func bring(t *testing.T, p *place) {
	for i, unchanged := range []bool{false, true} {
		p.use(t, func(k key.Key) {
			report, err := keygen.Import(t.Context(), k, brought(), keygen.Options{})
			if err != nil || report.Unchanged != unchanged || report.Algorithm != key.RSA2048 {
				t.Errorf("time %d: %+v, %v", i+1, report, err)
			}
		})
	}
	if !pubkey.Same(public(t, p), brought().Public()) {
		t.Error("another key is there")
	}
	signs(t, p)
}

// yes and no are what a person says to the question whether to overwrite.
func yes(context.Context, string) error { return nil }
func no(context.Context, string) error  { return problem.New(problem.Refused, "no") }

func certificates(t *testing.T, p *place) {
	made(t, p)
	ca := softhsm.NewCA(t, "Snake Oil CA")
	pub := public(t, p)
	first, second := ca.Issue(t, pub, nil), ca.Issue(t, pub, nil)
	foreign := ca.Issue(t, brought().Public(), nil)

	steps := []struct {
		name    string
		leaf    *x509.Certificate
		confirm func(context.Context, string) error
		code    problem.Code // empty where it works
		there   *x509.Certificate
	}{
		{"one for another key", foreign, yes, problem.Mismatch, nil},
		{"the first", first, no, "", first},
		{"the same", first, no, "", first},
		{"another, not confirmed", second, no, problem.Refused, first},
		{"another", second, yes, "", second},
	}
	for _, step := range steps {
		p.use(t, func(k key.Key) {
			_, err := certstore.Import(t.Context(), k, []*x509.Certificate{step.leaf, ca.Certificate},
				certstore.Options{Now: time.Now(), Confirm: step.confirm, Roots: []*x509.Certificate{ca.Certificate}})
			if step.code == "" && err != nil || step.code != "" && !problem.Is(err, step.code) {
				t.Errorf("%s: %v", step.name, err)
			}
		})
		p.use(t, func(k key.Key) {
			der, err := k.Certificate(t.Context())
			if err != nil || step.there == nil && der != nil || step.there != nil && !bytes.Equal(der, step.there.Raw) {
				t.Errorf("after %s: %x, %v", step.name, der, err)
			}
		})
	}
	signs(t, p)
	for _, code := range []problem.Code{"", problem.NotFound} {
		p.use(t, func(k key.Key) {
			_, err := certstore.Delete(t.Context(), k, yes)
			if code == "" && err != nil || code != "" && !problem.Is(err, code) {
				t.Errorf("delete-cert: %v", err)
			}
		})
	}
	signs(t, p)
}

func wrong(t *testing.T, p *place) {
	stranger := p.withPINs(wrongPIN)
	if _, err := generate(t, stranger, keygen.Options{}); !problem.Is(err, problem.PINIncorrect) {
		t.Errorf("gen-key: %v", err)
	}
	if o := occupant(t, p); o != nil {
		t.Errorf("there is %+v", o)
	}
	report := made(t, p)
	stranger.asked = 0
	stranger.use(t, func(k key.Key) {
		if err := request(t.Context(), k); !problem.Is(err, problem.PINIncorrect) {
			t.Errorf("gen-csr: %v", err)
		}
	})
	if stranger.asked != 1 {
		t.Errorf("asked %d times", stranger.asked)
	}
	signs(t, p) // which gives the PIN its tries back
	if _, err := generate(t, stranger, keygen.Options{Replace: report.Fingerprint}); !problem.Is(err, problem.PINIncorrect) {
		t.Errorf("gen-key --replace: %v", err)
	}
	if o := occupant(t, p); o == nil || o.Fingerprint != report.Fingerprint {
		t.Errorf("there is %+v", o)
	}
	signs(t, p)
}
