//go:build cgo

package p11_test

import (
	"crypto"
	"testing"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/test/softhsm"
)

// TestKeysOnOtherCurves signs with keys on curves that crypto/elliptic does not have.
func TestKeysOnOtherCurves(t *testing.T) {
	token := softhsm.New(t, "curves")
	m := load(t)
	for i, name := range []string{"brainpoolP256r1", "brainpoolP384r1", "brainpoolP512r1", "secp256k1", "brainpoolP320r1"} {
		id := byte(i + 1)
		token.Generate(t, "EC:"+name, id, name)
		_, key := unlock(t, m, p11.Wanted{URI: uri(t, "pkcs11:token=curves;object="+name)}, token.PIN)
		public, ok := key.Public().(*pubkey.Other)
		if !ok || public.Name() != name || !public.IsEC() {
			t.Errorf("%s: %T %v", name, key.Public(), key.Public())
			continue
		}
		if !public.Curve.Verifies() {
			if schemes := key.Schemes(); len(schemes) != 0 {
				t.Errorf("%s: %v, which nobody can check", name, schemes)
			}
			continue
		}
		message := []byte("message")
		signed := 0
		for _, scheme := range key.Schemes() {
			signature, err := key.Sign(t.Context(), scheme, message)
			if problem.Is(err, problem.NotSupported) {
				continue // what the module does not have
			}
			if err != nil {
				t.Errorf("%s, %s: %v", name, scheme, err)
				continue
			}
			signed++
			if err := scheme.Verify(public, message, signature); err != nil {
				t.Errorf("%s, %s: %v", name, scheme, err)
			}
			if scheme.Verify(public, []byte("another"), signature) == nil {
				t.Errorf("%s, %s: the signature is for any message", name, scheme)
			}
		}
		if signed == 0 {
			t.Errorf("%s has not signed", name)
		}
		digest := make([]byte, crypto.SHA512.Size())
		digest[0] = 1
		signature, err := key.Signer(t.Context()).Sign(nil, digest, crypto.SHA512)
		if err != nil || !public.Curve.Verify(public.Key, digest, signature) {
			t.Errorf("%s, a long digest: %v", name, err)
		}
		if id := p11.KeyID(public); len(id) != 20 {
			t.Errorf("%s: ID %X", name, id)
		}
	}
}
