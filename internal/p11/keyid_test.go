package p11

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"testing"
)

// subjectPublicKey is the BIT STRING of a SubjectPublicKeyInfo, which for
// elliptic curves is the point (RFC 5480, 2.2; RFC 8410, 4).
func subjectPublicKey(t *testing.T, public crypto.PublicKey) []byte {
	t.Helper()
	encoded, err := x509.MarshalPKIXPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	var info struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}
	if _, err := asn1.Unmarshal(encoded, &info); err != nil {
		t.Fatal(err)
	}
	return info.Key.Bytes
}

func TestKeyIDIsThatOfNSS(t *testing.T) {
	edwards, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	// For RSA it is the modulus alone, and not the RSAPublicKey.
	var rsaKey struct {
		N asn1.RawValue
		E int
	}
	if _, err := asn1.Unmarshal(subjectPublicKey(t, fakeRSA().Public()), &rsaKey); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		public crypto.PublicKey
		hashed []byte
	}{
		{"RSA", fakeRSA().Public(), bytes.TrimLeft(rsaKey.N.Bytes, "\x00")},
		{"P-256", fakeP256().Public(), subjectPublicKey(t, fakeP256().Public())},
		{"Ed25519", edwards, edwards},
	}
	for _, test := range tests {
		if want := sha1.Sum(test.hashed); !bytes.Equal(KeyID(test.public), want[:]) {
			t.Errorf("%s: %X, not %X", test.name, KeyID(test.public), want)
		}
	}
	if KeyID("no key") != nil {
		t.Error("no key has an ID")
	}
}
