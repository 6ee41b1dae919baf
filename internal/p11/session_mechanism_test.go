package p11

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"math/big"
	"testing"

	"github.com/miekg/pkcs11"
)

func TestServes(t *testing.T) {
	x25519, err := ecdh.X25519().NewPublicKey(make([]byte, 32))
	if err != nil {
		t.Fatal(err)
	}
	rsaOf := func(bits uint) crypto.PublicKey {
		return &rsa.PublicKey{N: new(big.Int).Lsh(big.NewInt(1), bits-1), E: 65537}
	}
	p256 := &ecdsa.PublicKey{Curve: elliptic.P256()}
	edwards := ed25519.PublicKey(make([]byte, ed25519.PublicKeySize))
	for _, test := range []struct {
		what        string
		public      crypto.PublicKey
		mechanism   MechanismID
		least, most uint
		serves      bool
	}{
		{"RSA within", rsaOf(2048), pkcs11.CKM_RSA_PKCS, 1024, 2048, true},
		{"RSA too long", rsaOf(3072), pkcs11.CKM_RSA_PKCS, 1024, 2048, false},
		{"RSA in bytes", rsaOf(4096), pkcs11.CKM_RSA_PKCS, 128, 512, true},
		{"RSA in bytes, too long", rsaOf(4096), pkcs11.CKM_RSA_PKCS, 128, 384, false},
		{"nothing said of lengths", rsaOf(4096), pkcs11.CKM_RSA_PKCS, 0, 0, true},
		{"a curve", p256, pkcs11.CKM_ECDSA, 256, 384, true},
		{"a curve for key agreement", p256, pkcs11.CKM_ECDH1_DERIVE, 256, 384, true},
		{"a curve on a token of RSA", p256, pkcs11.CKM_RSA_PKCS, 1024, 2048, false},
		{"Ed25519", edwards, ckmEDDSA, 256, 456, true},
		{"Ed25519 on a token of ECDSA", edwards, pkcs11.CKM_ECDSA, 112, 521, false},
		{"X25519", x25519, pkcs11.CKM_ECDH1_DERIVE, 112, 521, true},
		{"X25519 on a token of P-256", x25519, pkcs11.CKM_ECDH1_DERIVE, 256, 384, false},
	} {
		t.Run(test.what, func(t *testing.T) {
			token := newFakeToken("desk", "1")
			token.mechanisms = map[MechanismID]uint{test.mechanism: pkcs11.CKF_SIGN}
			token.lengths = map[MechanismID][2]uint{test.mechanism: {test.least, test.most}}
			m, _ := startFake(t, token)
			s, err := m.Open(t.Context(), URI{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = s.Close() })
			if serves, err := s.Serves(t.Context(), test.public); err != nil || serves != test.serves {
				t.Errorf("serves: %v %v", serves, err)
			}
		})
	}
}
