package openpgp

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"testing"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// withSigner makes a key on a card that is strict about the length of what it
// signs.
func withSigner(t *testing.T, ref string, algorithm key.Algorithm, use func(crypto.Signer)) {
	t.Helper()
	newTable(t, "strict-lengths").open(ref, func(k key.Key) {
		if _, err := k.Generate(t.Context(), key.Spec{Algorithm: algorithm}); err != nil {
			t.Fatal(err)
		}
		signer, err := k.Signer(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		use(signer)
	})
}

func TestECDSAWithEveryDigestOnAStrictCard(t *testing.T) {
	for _, algorithm := range []key.Algorithm{key.P256, key.P384, key.P521} {
		t.Run(string(algorithm), func(t *testing.T) {
			withSigner(t, "OPENPGP.3", algorithm, func(signer crypto.Signer) {
				for _, hash := range []crypto.Hash{crypto.SHA256, crypto.SHA384, crypto.SHA512} {
					h := hash.New()
					h.Write([]byte("the quick brown fox"))
					digest := h.Sum(nil)
					signature, err := signer.Sign(rand.Reader, digest, hash)
					if err != nil {
						t.Errorf("%s: %v", hash, err)
					} else if !ecdsa.VerifyASN1(signer.Public().(*ecdsa.PublicKey), digest, signature) {
						t.Errorf("%s: the signature %X does not verify", hash, signature)
					}
				}
			})
		})
	}
}

func TestEd25519MessageTooLongForTheCard(t *testing.T) {
	withSigner(t, "OPENPGP.1", key.Ed25519, func(signer crypto.Signer) {
		if _, err := signer.Sign(rand.Reader, make([]byte, 1024), crypto.Hash(0)); err != nil {
			t.Errorf("1024 bytes: %v", err)
		}
		if _, err := signer.Sign(rand.Reader, make([]byte, 1025), crypto.Hash(0)); !problem.Is(err, problem.NotSupported) {
			t.Errorf("1025 bytes: %v", err)
		}
	})
}
