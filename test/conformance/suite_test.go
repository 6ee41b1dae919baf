//go:build cgo

package conformance

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/test/certs"
	"github.com/cardctl/cardctl/test/softhsm"
)

// wrongPIN and newPIN have a length that every family takes.
const (
	wrongPIN = "99999999"
	newPIN   = "86420864"
)

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
	{"a wrong PIN costs one try", oneTry},
	{"a blocked PIN is not sent", blocked},
	{"a PIN is changed and unblocked", changed},
	{"unknown tries are not enough", unknown},
	{madeAnew, again},
}

// madeAnew is the row that initialises a card that is in use. The stand-in for OpenSC
// makes no keys on what it initialised.
const madeAnew = "a card whose PIN is blocked is made new"

func TestConformance(t *testing.T) { conform(t, slices.Concat(kinds, quirks(), strangers)) }

// conform runs the suite over kinds of cards.
func conform(t *testing.T, kinds []kind) {
	t.Helper()
	for _, kind := range kinds {
		t.Run(kind.name, func(t *testing.T) {
			for _, s := range suite {
				if slices.Contains(kind.later, s.name) {
					continue
				}
				t.Run(s.name, func(t *testing.T) { s.test(t, kind.make(t)) })
			}
		})
	}
}

// TestEveryFamilyIsHere has a row for each name in --app that can be opened.
func TestEveryFamilyIsHere(t *testing.T) {
	for _, f := range family.All() {
		rows := kinds
		if f.Example == "" {
			rows = keyless
		}
		for _, app := range f.Apps {
			if f.Open != nil && !slices.ContainsFunc(rows, func(k kind) bool { return k.app == app }) {
				t.Errorf("no row for %s", app)
			}
		}
	}
}

// TestKeyless has cards that can be opened and have no key: nothing is asked.
func TestKeyless(t *testing.T) {
	for _, kind := range keyless {
		p := kind.make(t)
		w := family.Wanted{Takes: []string{kind.app}}
		err := family.WithCard(t.Context(), p.desk, w, p.access(), func(ctx context.Context, _ family.At, c card.Card) error {
			keys, err := c.Keys(ctx)
			if identity := c.Identity(); len(keys) > 0 || !identity.Has(kind.app) {
				t.Errorf("%s: %+v, %v", kind.name, identity, keys)
			}
			if _, err := c.Key(ctx, key.Reference{Text: p.ref}); !problem.Is(err, problem.NotSupported) {
				t.Errorf("%s: %v", kind.name, err)
			}
			return err
		})
		if err != nil || len(p.asked) > 0 {
			t.Errorf("%s: %v, asked %v", kind.name, err, p.asked)
		}
	}
}

// generate makes a key by the workflow, and tells what it reports.
func (p *place) generate(t *testing.T, replace string) (keygen.Report, error) {
	t.Helper()
	return keygen.Generate(t.Context(), p.desk, p.access(), keygen.Wish{Key: p.ref, Algorithm: p.algorithm, Replace: replace})
}

func made(t *testing.T, p *place) keygen.Report {
	t.Helper()
	report, err := p.generate(t, p.replacing(""))
	if err != nil {
		t.Fatal(err)
	}
	if p.silent {
		block, _ := pem.Decode([]byte(report.PublicKey))
		if p.public, err = x509.ParsePKIXPublicKey(block.Bytes); err != nil {
			t.Fatal(err)
		}
	}
	return report
}

// occupant is what another run sees in the slot.
func occupant(t *testing.T, p *place) (o *key.Occupant) {
	t.Helper()
	p.look(t, func(ctx context.Context, k key.Key) {
		var err error
		if o, err = k.Occupant(ctx); err != nil {
			t.Fatal(err)
		}
	})
	return o
}

func public(t *testing.T, p *place) crypto.PublicKey {
	t.Helper()
	_, public, err := certstore.ExportKey(t.Context(), p.desk, p.access(), p.ref)
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// sign has the key sign a request, which is checked.
func (p *place) sign(t *testing.T) error {
	t.Helper()
	return p.request(t, csr.Request{})
}

func (p *place) request(t *testing.T, r csr.Request) error {
	t.Helper()
	var err error
	if r.Subject, err = csr.ParseName("CN=Floppy Head"); err != nil {
		t.Fatal(err)
	}
	made, err := csr.Sign(t.Context(), p.desk, p.access(), p.ref, r, 0, time.Now())
	if err != nil {
		return err
	}
	parsed, err := x509.ParseCertificateRequest(made.DER)
	if err != nil {
		return err
	}
	return parsed.CheckSignature()
}

func signs(t *testing.T, p *place) {
	t.Helper()
	if err := p.sign(t); err != nil {
		t.Error(err)
	}
}

func emptySlot(t *testing.T, p *place) {
	if o := occupant(t, p); o != nil {
		t.Errorf("there is %+v", o)
	}
	p.look(t, func(ctx context.Context, k key.Key) {
		if der, err := k.Certificate(ctx); der != nil || err != nil {
			t.Errorf("certificate %x, %v", der, err)
		}
		if _, err := k.Public(ctx); !problem.Is(err, problem.NotFound) {
			t.Errorf("Public: %v", err)
		}
	})
	if err := p.sign(t); !problem.Is(err, problem.NotFound) {
		t.Errorf("gen-csr: %v", err)
	}
}

func makeAndSign(t *testing.T, p *place) {
	report := made(t, p)
	if len(p.asked) != 1 {
		t.Errorf("asked for %d PINs", len(p.asked))
	}
	if report.Ref != p.ref || report.Fingerprint == "" || report.Keygrip == "" {
		t.Errorf("reported %+v", report)
	}
	if o := occupant(t, p); !p.reports(o, report.Fingerprint) || !p.silent && o.Algorithm != report.Algorithm || o.Unfinished {
		t.Errorf("there is %+v, reported was %+v", o, report)
	}
	p.asked = nil
	signs(t, p)
	if len(p.asked) != 1 {
		t.Errorf("asked for %d PINs to sign", len(p.asked))
	}
}

func occupied(t *testing.T, p *place) {
	report := made(t, p)
	p.asked = nil
	for _, named := range []string{"", "0000000000000000000000000000000000000000"} {
		if _, err := p.generate(t, named); !problem.Is(err, problem.Refused) {
			t.Errorf("--replace %q: %v", named, err)
		}
	}
	if len(p.asked) > 0 {
		t.Error("a PIN was asked for in vain")
	}
	if o := occupant(t, p); !p.reports(o, report.Fingerprint) {
		t.Errorf("there is %+v", o)
	}
}

func replace(t *testing.T, p *place) {
	first := made(t, p)
	second, err := p.generate(t, first.Fingerprint)
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
		then := func(context.Context, family.At, key.Key) error { return nil }
		report, err := keygen.Import(t.Context(), p.desk, p.access(), brought(), keygen.Wish{Key: p.ref}, then)
		if err != nil || report.Unchanged != unchanged || report.Algorithm != key.RSA2048 {
			t.Errorf("time %d: %+v, %v", i+1, report, err)
		}
	}
	if !pubkey.Same(public(t, p), brought().Public()) {
		t.Error("another key is there")
	}
	signs(t, p)
}

func certificates(t *testing.T, p *place) {
	made(t, p)
	ca := softhsm.NewCA(t, "Snake Oil CA")
	pub := public(t, p)
	first, second := ca.Issue(t, pub, nil), ca.Issue(t, pub, nil)
	foreign := ca.Issue(t, brought().Public(), nil)

	steps := []struct {
		name   string
		leaf   *x509.Certificate
		refuse bool
		code   problem.Code // empty where it works
		there  *x509.Certificate
	}{
		{"one for another key", foreign, false, problem.Mismatch, nil},
		{"the first", first, true, "", first},
		{"the same", first, true, "", first},
		{"another, not confirmed", second, true, problem.Refused, first},
		{"another", second, false, "", second},
	}
	for _, step := range steps {
		p.refuse = step.refuse
		_, err := certstore.Import(t.Context(), p.desk, p.access(), p.ref, certs.All(t, step.leaf, ca.Certificate),
			certstore.Options{Now: time.Now(), Roots: certs.All(t, ca.Certificate)})
		if step.code == "" && err != nil || step.code != "" && !problem.Is(err, step.code) {
			t.Errorf("%s: %v", step.name, err)
		}
		_, der, err := certstore.Export(t.Context(), p.desk, p.access(), p.ref)
		if there := step.there; there == nil && !problem.Is(err, problem.NotFound) || there != nil && (err != nil || !bytes.Equal(der, there.Raw)) {
			t.Errorf("after %s: %x, %v", step.name, der, err)
		}
	}
	signs(t, p)
	for _, code := range []problem.Code{"", problem.NotFound} {
		_, err := certstore.Delete(t.Context(), p.desk, p.access(), p.ref, certstore.RenewalOf(false, false))
		if code == "" && err != nil || code != "" && !problem.Is(err, code) {
			t.Errorf("delete-cert: %v", err)
		}
	}
	signs(t, p)
}

func wrong(t *testing.T, p *place) {
	stranger := p.with(wrongPIN)
	if _, err := stranger.generate(t, p.replacing("")); !problem.Is(err, p.wrongToMake()) {
		t.Errorf("gen-key: %v", err)
	}
	if o := occupant(t, p); !p.reports(o, "") {
		t.Errorf("there is %+v", o)
	}
	report := made(t, p)
	stranger.asked, stranger.public = nil, p.public
	if err := stranger.sign(t); !problem.Is(err, problem.PINIncorrect) {
		t.Errorf("gen-csr: %v", err)
	}
	if len(stranger.asked) != 1 {
		t.Errorf("asked %d times", len(stranger.asked))
	}
	signs(t, p) // which gives the PIN its tries back
	if _, err := stranger.generate(t, p.replacing(report.Fingerprint)); !problem.Is(err, p.wrongToMake()) {
		t.Errorf("gen-key --replace: %v", err)
	}
	if o := occupant(t, p); !p.reports(o, report.Fingerprint) {
		t.Errorf("there is %+v", o)
	}
	signs(t, p)
}
