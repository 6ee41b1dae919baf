package p11

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/sha256"
	"strings"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/cardctl/cardctl/internal/problem"
)

// TestHalvesOf33Bytes: there are cards that put a zero in front of both halves. Requests
// are made all the same; that other programs do not take it is said by the length.
func TestHalvesOf33Bytes(t *testing.T) {
	token := newFakeToken("card", "1")
	token.objects = []fakeObject{publicHalf(t, fakeP256(), "1"), privateHalf(fakeP256(), "1", nil)}
	key, _, f := unlocked(t, token, fakeP256().Public())
	scheme := Scheme{Mechanism: pkcs11.CKM_ECDSA, Hash: crypto.SHA256, input: digest}
	for zeros, said := range []string{"", "66 bytes where PKCS#11 has 64"} {
		f.zeros = zeros
		signature, err := key.Sign(t.Context(), scheme, []byte("message"))
		if said == "" && (err != nil || scheme.Verify(key.Public(), []byte("message"), signature) != nil) {
			t.Errorf("%d zeros: %v", zeros, err)
		}
		if said != "" && (!problem.Is(err, problem.Mismatch) || !strings.Contains(err.Error(), said)) {
			t.Errorf("%d zeros: %v", zeros, err)
		}
		hashed := sha256.Sum256([]byte("message"))
		signature, err = key.Signer(t.Context()).Sign(nil, hashed[:], crypto.SHA256)
		if err != nil || !ecdsa.VerifyASN1(fakeP256().Public().(*ecdsa.PublicKey), hashed[:], signature) {
			t.Errorf("%d zeros, a request: %v", zeros, err)
		}
	}
}
