package pubkey_test

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"testing"

	"github.com/cardctl/cardctl/internal/pubkey"
)

func newECDSA(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// A key is the same for whatever it is used, and nothing is the same as nothing.
func TestSame(t *testing.T) {
	one, two := newECDSA(t), newECDSA(t)
	agreement, err := one.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		a, b crypto.PublicKey
		want bool
	}{
		"itself":                   {one.Public(), one.Public(), true},
		"for ECDSA and for ECDH":   {one.Public(), agreement.PublicKey(), true},
		"another":                  {one.Public(), two.Public(), false},
		"none":                     {one.Public(), nil, false},
		"none and none":            {nil, nil, false},
		"two that nobody can read": {"a", "a", false},
	} {
		if got := pubkey.Same(test.a, test.b); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
		if named := pubkey.Fingerprint(test.a) != "" && pubkey.Fingerprint(test.a) == pubkey.Fingerprint(test.b); named != test.want {
			t.Errorf("%s: fingerprints say %v", name, named)
		}
	}
	if n := len(pubkey.Fingerprint(one.Public())); n != 64 {
		t.Errorf("a fingerprint of %d digits", n)
	}
}

// What a card signs that pads and does not hash is what verifiers expect: RSA
// without hashing (RFC 8017, 9.2) over the structure is RSA over the digest.
func TestDigestInfo(t *testing.T) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	message := []byte("snake oil")
	d256, d384, d512 := sha256.Sum256(message), sha512.Sum384(message), sha512.Sum512(message)
	for hash, digest := range map[crypto.Hash][]byte{crypto.SHA256: d256[:], crypto.SHA384: d384[:], crypto.SHA512: d512[:]} {
		info, err := pubkey.DigestInfo(hash, digest)
		if err != nil {
			t.Fatal(err)
		}
		signature, err := rsa.SignPKCS1v15(rand.Reader, key, 0, info)
		if err != nil {
			t.Fatal(err)
		}
		if err := rsa.VerifyPKCS1v15(&key.PublicKey, hash, digest, signature); err != nil {
			t.Errorf("%s: %v", hash, err)
		}
	}
	if _, err := pubkey.DigestInfo(crypto.MD5, make([]byte, 16)); !errors.Is(err, pubkey.ErrDigest) {
		t.Errorf("MD5: %v", err)
	}
}

func TestAgreement(t *testing.T) {
	nist := newECDSA(t)
	x, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	own, err := nist.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := pubkey.Agreement(nist.Public()); err != nil || !bytes.Equal(got.Bytes(), own.PublicKey().Bytes()) {
		t.Errorf("P-256: %v", err)
	}
	if got, err := pubkey.Agreement(x.PublicKey()); err != nil || got != x.PublicKey() {
		t.Errorf("X25519: %v", err)
	}
	signing, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, none := range []crypto.PublicKey{signing, nil} {
		if _, err := pubkey.Agreement(none); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%T: %v", none, err)
		}
	}
}
