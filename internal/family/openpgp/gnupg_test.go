package openpgp

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/openpgp"
)

// gnupgKey is a key that GnuPG 2.2 made, as it listed it with --with-key-data
// and --with-keygrip.
type gnupgKey struct {
	Slot                     app.Slot
	Created                  int64
	Algorithm                key.Algorithm
	Modulus, Exponent, Point string
	Fingerprint, Keygrip     string
}

func (g gnupgKey) public(t *testing.T) crypto.PublicKey {
	t.Helper()
	bytes := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var pub crypto.PublicKey
	var err error
	switch g.Algorithm {
	case key.RSA2048:
		e := new(big.Int).SetBytes(bytes(g.Exponent))
		return &rsa.PublicKey{N: new(big.Int).SetBytes(bytes(g.Modulus)), E: int(e.Int64())}
	case key.P256:
		pub, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), bytes(g.Point))
	case key.P384:
		pub, err = ecdsa.ParseUncompressedPublicKey(elliptic.P384(), bytes(g.Point))
	case key.P521:
		pub, err = ecdsa.ParseUncompressedPublicKey(elliptic.P521(), bytes(g.Point))
	case key.Ed25519:
		return ed25519.PublicKey(bytes(g.Point))
	case key.X25519:
		pub, err = ecdh.X25519().NewPublicKey(bytes(g.Point))
	}
	if err != nil {
		t.Fatal(err)
	}
	return pub
}

func TestFingerprintAndKeygripAreThoseOfGnuPG(t *testing.T) {
	raw, err := os.ReadFile("testdata/gnupg.json")
	if err != nil {
		t.Fatal(err)
	}
	var keys []gnupgKey
	if err := json.Unmarshal(raw, &keys); err != nil {
		t.Fatal(err)
	}
	for _, g := range keys {
		t.Run(fmt.Sprintf("%s in slot %d", g.Algorithm, g.Slot), func(t *testing.T) {
			pub := g.public(t)
			fingerprint, err := app.Fingerprint(g.Slot, pub, time.Unix(g.Created, 0))
			if got := fmt.Sprintf("%X", fingerprint[:]); err != nil || got != g.Fingerprint {
				t.Errorf("fingerprint %s, %v, want %s", got, err, g.Fingerprint)
			}
			if got := key.Keygrip(pub); got != g.Keygrip {
				t.Errorf("keygrip %s, want %s", got, g.Keygrip)
			}
			if got := key.AlgorithmOf(pub); got != g.Algorithm {
				t.Errorf("algorithm %s, want %s", got, g.Algorithm)
			}
		})
	}
}
