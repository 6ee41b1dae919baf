package csr

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"sync"
	"testing"
)

// signers are software keys, made once for all tests.
var signers = sync.OnceValue(func() map[string]crypto.Signer {
	list := map[string]crypto.Signer{}
	add := func(name string, key crypto.Signer, err error) {
		if err != nil {
			panic(err)
		}
		list[name] = key
	}
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	add("rsa2048", r, err)
	for name, curve := range map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()} {
		k, err := ecdsa.GenerateKey(curve, rand.Reader)
		add(name, k, err)
	}
	_, e, err := ed25519.GenerateKey(rand.Reader)
	add("ed25519", e, err)
	return list
})

func signer(t *testing.T, name string) crypto.Signer {
	t.Helper()
	s, ok := signers()[name]
	if !ok {
		t.Fatalf("no test key %q", name)
	}
	return s
}
