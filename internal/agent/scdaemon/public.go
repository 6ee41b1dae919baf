package scdaemon

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"fmt"
	"math/big"
	"strings"
)

// Numbers of public-key algorithms (RFC 9580, 9.1), with the number of EdDSA that GnuPG uses.
const (
	algorithmRSA   = 1
	algorithmECDH  = 18
	algorithmECDSA = 19
	algorithmEdDSA = 22
)

// canonical is a public key as a canonical S-expression of libgcrypt.
func canonical(public crypto.PublicKey) ([]byte, error) {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return list("public-key", list("rsa", list("n", number(public.N)), list("e", number(big.NewInt(int64(public.E)))))), nil
	case *ecdsa.PublicKey:
		point, err := public.Bytes()
		if err != nil {
			return nil, err
		}
		return list("public-key", list("ecc", list("curve", atom("NIST "+public.Params().Name)), list("q", atom(string(point))))), nil
	case ed25519.PublicKey:
		return list("public-key", list("ecc", list("curve", atom("Ed25519")), list("flags", atom("eddsa")), list("q", atom("\x40"+string(public))))), nil
	case *ecdh.PublicKey:
		return list("public-key", list("ecc", list("curve", atom("Curve25519")), list("flags", atom("djb-tweak")), list("q", atom("\x40"+string(public.Bytes()))))), nil
	}
	return nil, fail(errNotSupported, "a key of type %T", public)
}

func list(name string, elements ...[]byte) []byte {
	l := append([]byte{'('}, atom(name)...)
	for _, e := range elements {
		l = append(l, e...)
	}
	return append(l, ')')
}

func atom(text string) []byte { return fmt.Appendf(nil, "%d:%s", len(text), text) }

// number is a positive number: its first bit is a sign.
func number(n *big.Int) []byte {
	b := n.Bytes()
	if len(b) > 0 && b[0] >= 0x80 {
		b = append([]byte{0}, b...)
	}
	return atom(string(b))
}

// algorithmName is GnuPG's name of algorithm and size: rsa2048, nistp256.
func algorithmName(public crypto.PublicKey) string {
	switch public := public.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("rsa%d", public.N.BitLen())
	case *ecdsa.PublicKey:
		return "nistp" + strings.TrimPrefix(public.Params().Name, "P-")
	case ed25519.PublicKey:
		return "ed25519"
	}
	return "cv25519"
}

// algorithm is the number of a key's algorithm, which is ECDH for a key that only derives.
func (k *key) algorithm() int {
	switch k.about.Public.(type) {
	case *rsa.PublicKey:
		return algorithmRSA
	case ed25519.PublicKey:
		return algorithmEdDSA
	}
	if strings.Contains(k.usage, "e") {
		return algorithmECDH
	}
	return algorithmECDSA
}
