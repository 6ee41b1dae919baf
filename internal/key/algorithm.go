package key

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"fmt"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Algorithm is a kind of key as users name it: rsa2048, p256, ed25519.
type Algorithm string

// The algorithms of the command line's contract.
const (
	RSA2048 Algorithm = "rsa2048"
	RSA3072 Algorithm = "rsa3072"
	RSA4096 Algorithm = "rsa4096"
	P256    Algorithm = "p256"
	P384    Algorithm = "p384"
	P521    Algorithm = "p521"
	Ed25519 Algorithm = "ed25519"
	X25519  Algorithm = "x25519"
)

// Algorithms lists them all, in the order the documentation has.
func Algorithms() []Algorithm {
	return []Algorithm{RSA2048, RSA3072, RSA4096, P256, P384, P521, Ed25519, X25519}
}

// familiar are what other programs and specifications call the algorithms, without
// signs and in lower case: OpenSSL, RFC 5480, FIPS 186, OpenSC, ykman, GnuPG, JOSE.
func familiar() map[string]Algorithm {
	return map[string]Algorithm{
		"prime256v1": P256, "secp256r1": P256, "nistp256": P256, "eccp256": P256, "ecp256": P256, "ecdsap256": P256, "es256": P256,
		"secp384r1": P384, "nistp384": P384, "eccp384": P384, "ecp384": P384, "ecdsap384": P384, "es384": P384, "ansip384r1": P384,
		"secp521r1": P521, "nistp521": P521, "eccp521": P521, "ecp521": P521, "ecdsap521": P521, "es512": P521, "ansip521r1": P521,
		"edwards25519": Ed25519, "eddsa": Ed25519, "cv25519": X25519, "curve25519": X25519, "montgomery25519": X25519,
	}
}

// ParseAlgorithm reads what a user types for an algorithm: a name of the contract, or
// one that is familiar from elsewhere, in either case: prime256v1, RSA:2048, EC:secp384r1.
func ParseAlgorithm(s string) (Algorithm, error) {
	typed := strings.NewReplacer(":", "", "-", "", "_", "", " ", "", "/", "").Replace(strings.ToLower(s))
	withoutKind := strings.TrimPrefix(strings.TrimPrefix(typed, "ecdsa"), "ec")
	names := make([]string, 0, len(Algorithms()))
	for _, a := range Algorithms() {
		if string(a) == typed || string(a) == withoutKind {
			return a, nil
		}
		names = append(names, string(a))
	}
	for _, name := range []string{typed, withoutKind} {
		if a, known := familiar()[name]; known {
			return a, nil
		}
	}
	return "", problem.New(problem.Usage, "%q is not an algorithm", s).
		Because("Valid algorithms: %s.", strings.Join(names, ", "))
}

// AlgorithmOf names the kind of a public key. Other RSA lengths are rsaN, other curves
// and algorithms have their own names, such as brainpoolP256r1. What has no name is
// "unknown".
func AlgorithmOf(pub crypto.PublicKey) Algorithm {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		return Algorithm(fmt.Sprintf("rsa%d", pub.N.BitLen()))
	case *ecdsa.PublicKey:
		switch pub.Curve {
		case elliptic.P256():
			return P256
		case elliptic.P384():
			return P384
		case elliptic.P521():
			return P521
		case elliptic.P224():
			return "p224"
		}
	case *pubkey.Other:
		return Algorithm(pub.Name())
	case ed25519.PublicKey:
		return Ed25519
	case *ecdh.PublicKey:
		switch pub.Curve() {
		case ecdh.X25519():
			return X25519
		case ecdh.P256():
			return P256
		case ecdh.P384():
			return P384
		case ecdh.P521():
			return P521
		}
	}
	return "unknown"
}

// RSABits is the length of the modulus of an RSA algorithm in bits.
func (a Algorithm) RSABits() (bits int, ok bool) {
	digits, ok := strings.CutPrefix(string(a), "rsa")
	bits, err := strconv.Atoi(digits)
	return bits, ok && err == nil
}
