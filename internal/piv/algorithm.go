package piv

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"math/big"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Algorithm is an algorithm identifier (SP 800-78-5, table 5), or one of Yubico's.
type Algorithm byte

// Algorithms of keys.
const (
	RSA1024 Algorithm = 0x06
	RSA2048 Algorithm = 0x07
	RSA3072 Algorithm = 0x05
	RSA4096 Algorithm = 0x16
	P256    Algorithm = 0x11
	P384    Algorithm = 0x14
	Ed25519 Algorithm = 0xE0
	X25519  Algorithm = 0xE1
)

// Name is what cardctl calls the algorithm; false for one that it does not know.
func (a Algorithm) Name() (string, bool) {
	switch a {
	case RSA1024:
		return "rsa1024", true
	case RSA2048:
		return "rsa2048", true
	case RSA3072:
		return "rsa3072", true
	case RSA4096:
		return "rsa4096", true
	case P256:
		return "p256", true
	case P384:
		return "p384", true
	case Ed25519:
		return "ed25519", true
	case X25519:
		return "x25519", true
	case TripleDES:
		return "3des", true
	case AES128:
		return "aes128", true
	case AES192:
		return "aes192", true
	case AES256:
		return "aes256", true
	}
	return fmt.Sprintf("algorithm %02X", byte(a)), false
}

// parsePublicKey reads the content of 7F49 (3.3.2, table 11): 81 and 82 with modulus
// and exponent, or 86 with a point.
func parsePublicKey(algorithm Algorithm, content []byte) (crypto.PublicKey, error) {
	const tagModulus, tagExponent, tagPoint = 0x81, 0x82, 0x86
	objects, err := iso7816.ParseTLVs(content)
	if err != nil {
		return nil, fmt.Errorf("%w: public key: %v", ErrMalformed, err)
	}
	values := map[iso7816.Tag][]byte{}
	for _, o := range objects {
		values[o.Tag] = o.Value
	}
	point := values[tagPoint]
	switch algorithm {
	case P256:
		return parsePoint(elliptic.P256(), point)
	case P384:
		return parsePoint(elliptic.P384(), point)
	case Ed25519:
		if len(point) == ed25519.PublicKeySize {
			return ed25519.PublicKey(point), nil
		}
	case X25519:
		if key, err := ecdh.X25519().NewPublicKey(point); err == nil {
			return key, nil
		}
	case RSA1024, RSA2048, RSA3072, RSA4096:
		return parseModulus(values[tagModulus], values[tagExponent])
	}
	return nil, fmt.Errorf("%w: no public key for algorithm %02X", ErrMalformed, byte(algorithm))
}

func parsePoint(curve elliptic.Curve, point []byte) (crypto.PublicKey, error) {
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return nil, fmt.Errorf("%w: public key: %v", ErrMalformed, err)
	}
	return key, nil
}

// parseModulus refuses what cannot be an RSA key: longest is 4096 bits, an exponent
// is odd and has at most 31.
func parseModulus(modulus, exponent []byte) (crypto.PublicKey, error) {
	const least, most = 1024, 4096
	n, e := new(big.Int).SetBytes(modulus), new(big.Int).SetBytes(exponent)
	if n.BitLen() < least || n.BitLen() > most || n.Bit(0) == 0 || e.BitLen() > 31 || e.Bit(0) == 0 || e.Int64() < 3 {
		return nil, fmt.Errorf("%w: RSA modulus of %d bits, exponent of %d", ErrMalformed, n.BitLen(), e.BitLen())
	}
	return &rsa.PublicKey{N: n, E: int(e.Int64())}, nil
}
