package openvpn

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"testing"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/lend"
	"github.com/cardctl/cardctl/internal/problem"
)

func TestAKeyForTLS12(t *testing.T) {
	if err := onlyTLS12("OPENPGP.3"); !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
}

func uses(each bool) func(context.Context) (bool, error) {
	return func(context.Context) (bool, error) { return each, nil }
}

func TestKeysThatAreNotUsed(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		key  *lend.Key
		code problem.Code
	}{
		"with the PIN for each use":           {&lend.Key{EachUse: uses(true)}, problem.NotSupported},
		"with the certificate of another key": {&lend.Key{EachUse: uses(false), Public: own.Public(), Certificate: &cert.Certificate{PublicKey: other.Public()}}, problem.Mismatch},
	} {
		if w, err := new(setting).look(t.Context(), test.key); !problem.Is(err, test.code) {
			t.Errorf("%s: %+v, %v", name, w, err)
		}
	}
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := new(setting).usable(t.Context(), &wanted{Key: &lend.Key{}, certificate: &cert.Certificate{PublicKey: edwards}}, nil); !problem.Is(err, problem.NotSupported) {
		t.Error(err)
	}
}

func TestTheCertificateThatTheModuleShows(t *testing.T) {
	own, other := &cert.Certificate{Raw: []byte("own")}, &cert.Certificate{Raw: []byte("other")}
	for name, test := range map[string]struct {
		own, found *cert.Certificate
		shown      []*cert.Certificate
		instead    string
		code       problem.Code // empty for none
	}{
		"the card's own":      {own: own, shown: []*cert.Certificate{other, own}, found: own},
		"of a token":          {shown: []*cert.Certificate{other, own}, found: other},
		"an old one":          {own: own, shown: []*cert.Certificate{other}, code: problem.Mismatch},
		"none":                {own: own, code: problem.NotFound},
		"that of another key": {own: own, instead: "ANOTHER", code: problem.NotFound},
		"none of a token":     {instead: "ANOTHER", code: problem.NotFound},
	} {
		w := &wanted{Key: &lend.Key{Ref: "KEY", Holder: key.Holder{ShownInstead: test.instead}}, certificate: test.own}
		err := w.find(test.shown, "module.so")
		if test.code != "" && !problem.Is(err, test.code) || test.code == "" && (err != nil || w.certificate != test.found) {
			t.Errorf("%s: %v, %v", name, w.certificate, err)
		}
	}
}
