package cardsim

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"math/big"
	"testing"

	"github.com/cardctl/cardctl/internal/iso7816"
)

func TestGenerateAndSignECDSA(t *testing.T) {
	h := opened(t, "")
	h.admin()
	h.put(tagAttributes, unhex(t, "13 2A8648CE3D030107"))
	public := h.query(iso7816.InsGenerateKeyPair, 0x80, 0, unhex(t, "B600"), iso7816.StatusOK)
	point, ok := iso7816.FindTLV(public, 0x7F49, 0x86)
	if !ok {
		t.Fatalf("no point in %X", public)
	}
	h.user()
	hash := sha256.Sum256([]byte("message"))
	signature := h.query(iso7816.InsPerformSecurityOp, 0x9E, 0x9A, hash[:], iso7816.StatusOK)
	key, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	if err != nil {
		t.Fatal(err)
	}
	if !ecdsa.Verify(key, hash[:], new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])) {
		t.Fatal("the signature does not verify")
	}
}
