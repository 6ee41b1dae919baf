package pubkey

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"testing"
)

func TestSame(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	asECDH, err := key.PublicKey.ECDH()
	if err != nil {
		t.Fatal(err)
	}
	if !Same(&key.PublicKey, asECDH) {
		t.Error("one key, held in two ways, is two")
	}
	if Same(nil, nil) || Same(&key.PublicKey, nil) || Same("a", "a") {
		t.Error("what is no key is the same key")
	}
}
