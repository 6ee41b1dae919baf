package cardsim

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"math/big"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// pivAlgorithm is an algorithm identifier of SP 800-78-5, table 5, or of Yubico.
type pivAlgorithm byte

const (
	pivTripleDES pivAlgorithm = 0x03
	pivRSA3072   pivAlgorithm = 0x05
	pivRSA1024   pivAlgorithm = 0x06
	pivRSA2048   pivAlgorithm = 0x07
	pivAES128    pivAlgorithm = 0x08
	pivAES192    pivAlgorithm = 0x0A
	pivAES256    pivAlgorithm = 0x0C
	pivP256      pivAlgorithm = 0x11
	pivP384      pivAlgorithm = 0x14
	pivRSA4096   pivAlgorithm = 0x16
	pivEd25519   pivAlgorithm = 0xE0
	pivX25519    pivAlgorithm = 0xE1
)

// bits is the length of the modulus of an RSA algorithm, 0 for others.
func (g pivAlgorithm) bits() int {
	return map[pivAlgorithm]int{pivRSA1024: 1024, pivRSA2048: 2048, pivRSA3072: 3072, pivRSA4096: 4096}[g]
}

func (g pivAlgorithm) curve() elliptic.Curve {
	switch g {
	case pivP256:
		return elliptic.P256()
	case pivP384:
		return elliptic.P384()
	}
	return nil
}

// has reports whether a card has keys of an algorithm.
func (f pivFeatures) has(g pivAlgorithm) bool {
	switch g {
	case pivRSA2048, pivP256, pivP384:
		return true
	case pivRSA1024:
		return f.yubico()
	case pivRSA3072, pivRSA4096:
		return f.longRSA()
	case pivEd25519, pivX25519:
		return f.curves25519()
	}
	return false
}

// newPIVKey makes a key. Where the algorithm has none it is nil.
func newPIVKey(g pivAlgorithm) (crypto.PrivateKey, error) {
	switch {
	case g.bits() != 0:
		return rsa.GenerateKey(rand.Reader, g.bits())
	case g.curve() != nil:
		return ecdsa.GenerateKey(g.curve(), rand.Reader)
	case g == pivEd25519:
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return key, err
	}
	return ecdh.X25519().GenerateKey(rand.Reader)
}

// pivAlgorithmOf is the algorithm of a private key; false for one that no slot
// can have.
func pivAlgorithmOf(private crypto.PrivateKey) (pivAlgorithm, bool) {
	switch key := private.(type) {
	case *rsa.PrivateKey:
		for _, g := range []pivAlgorithm{pivRSA1024, pivRSA2048, pivRSA3072, pivRSA4096} {
			if key.N.BitLen() == g.bits() {
				return g, true
			}
		}
	case *ecdsa.PrivateKey:
		switch key.Curve {
		case elliptic.P256():
			return pivP256, true
		case elliptic.P384():
			return pivP384, true
		}
	case ed25519.PrivateKey:
		return pivEd25519, true
	case *ecdh.PrivateKey:
		return pivX25519, key.Curve() == ecdh.X25519()
	}
	return 0, false
}

// pivPublic is the content of 7F49 for a private key (table 11): modulus and
// exponent, or a point.
func pivPublic(private crypto.PrivateKey) []byte {
	const tagModulus, tagExponent, tagPoint = 0x81, 0x82, 0x86
	switch key := private.(type) {
	case *rsa.PrivateKey:
		value := iso7816.AppendTLV(nil, tagModulus, key.N.Bytes())
		return iso7816.AppendTLV(value, tagExponent, big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PrivateKey:
		return iso7816.AppendTLV(nil, tagPoint, point(key))
	case ed25519.PrivateKey:
		return iso7816.AppendTLV(nil, tagPoint, key.Public().(ed25519.PublicKey))
	case *ecdh.PrivateKey:
		return iso7816.AppendTLV(nil, tagPoint, key.PublicKey().Bytes())
	}
	return nil
}
