package openpgp

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"encoding/hex"
	"errors"
	"math/big"
	"testing"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// TestKeyOnABrainpoolCurve is a key that GnuPG puts on a card.
func TestKeyOnABrainpoolCurve(t *testing.T) {
	attributes, err := ParseAttributes([]byte("\x13\x2B\x24\x03\x03\x02\x08\x01\x01\x07"))
	if err != nil || attributes.Name() != "brainpoolP256r1" {
		t.Fatalf("%s, %v", attributes.Name(), err)
	}
	point, err := hex.DecodeString("04" + // the base point, RFC 5639, 3.4
		"8BD2AEB9CB7E57CB2C4B482FFC81B7AFB9DE27E1E3BD23C23A4453BD9ACE3262" +
		"547EF835C3DAC4FD97F8461A14611DC9C27745132DED8E545C1D54C72F046997")
	if err != nil {
		t.Fatal(err)
	}
	answer := append([]byte{0x7F, 0x49, byte(len(point) + 2), 0x86, byte(len(point))}, point...)
	public, err := ParsePublicKey(answer, attributes)
	other, ok := public.(*pubkey.Other)
	if err != nil || !ok || other.Name() != "brainpoolP256r1" || !bytes.Equal(other.Key, point) || !other.IsEC() {
		t.Errorf("%T %v, %v", public, public, err)
	}
	unknown, err := ParseAttributes([]byte("\x16\x2A\x03"))
	if err != nil {
		t.Fatal(err)
	}
	if public, err := ParsePublicKey(answer, unknown); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("another algorithm: %v, %v", public, err)
	}
}

// TestImportable has the RSA keys that cards have no room for.
func TestImportable(t *testing.T) {
	usual, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	if err := Importable(usual); err != nil {
		t.Error(err)
	}
	unequal := *usual
	unequal.Primes = []*big.Int{new(big.Int).Lsh(big.NewInt(1), 1100), big.NewInt(3)}
	if err := Importable(&unequal); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("unequal primes: %v", err)
	}
	unequal.Primes = append(unequal.Primes, big.NewInt(5))
	if err := Importable(&unequal); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("three primes: %v", err)
	}
}
