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

// ParseAlgorithm reads what a user types after --algorithm.
func ParseAlgorithm(s string) (Algorithm, error) {
	names := make([]string, 0, len(Algorithms()))
	for _, a := range Algorithms() {
		if string(a) == strings.ToLower(s) {
			return a, nil
		}
		names = append(names, string(a))
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
