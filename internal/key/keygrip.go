package key

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/hex"
	"fmt"
	"math/big"
)

// Keygrip names a public key as libgcrypt does, and with it GnuPG: the SHA-1
// of the modulus, or of the curve's parameters and the point. Upper-case hex
// of 20 bytes, empty for keys that libgcrypt does not know.
func Keygrip(pub crypto.PublicKey) string {
	h := sha1.New()
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		h.Write([]byte{0}) // libgcrypt hashes the modulus as a signed number
		h.Write(pub.N.Bytes())
	default:
		parameters, point := curveParameters(pub)
		if parameters == nil {
			return ""
		}
		for i, name := range "pabgn" {
			fmt.Fprintf(h, "(1:%c%d:%s)", name, len(parameters[i]), parameters[i])
		}
		fmt.Fprintf(h, "(1:q%d:%s)", len(point), point)
	}
	return fmt.Sprintf("%X", h.Sum(nil))
}

// curveParameters returns p, a, b, G and n of the key's curve, unsigned and
// without leading zeros, and the key's point.
func curveParameters(pub crypto.PublicKey) (parameters [][]byte, point []byte) {
	switch pub := pub.(type) {
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			return nil, nil
		}
		return weierstrass(pub.Curve.Params()), point
	case ed25519.PublicKey:
		return unhex(
			"7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFED",
			"01",
			"2DFC9311D490018C7338BF8688861767FF8FF5B2BEBE27548A14B235ECA6874A",
			"04216936D3CD6E53FEC0A4E231FDD6DC5C692CC7609525A7B2C9562D608F25D51A6666666666666666666666666666666666666666666666666666666666666658",
			"1000000000000000000000000000000014DEF9DEA2F79CD65812631A5CF5D3ED"), pub
	case *ecdh.PublicKey:
		if pub.Curve() != ecdh.X25519() {
			return nil, nil
		}
		return unhex(
			"7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFED",
			"01DB41",
			"01",
			"04000000000000000000000000000000000000000000000000000000000000000920AE19A1B8A086B4E01EDD2C7748D14C923D4D7E6D7C61B229E9C5A27ECED3D9",
			"1000000000000000000000000000000014DEF9DEA2F79CD65812631A5CF5D3ED"), pub.Bytes()
	}
	return nil, nil
}

func weierstrass(c *elliptic.CurveParams) [][]byte {
	size := (c.BitSize + 7) / 8
	g := append([]byte{4}, c.Gx.FillBytes(make([]byte, size))...)
	g = append(g, c.Gy.FillBytes(make([]byte, size))...)
	a := new(big.Int).Sub(c.P, big.NewInt(3))
	return [][]byte{c.P.Bytes(), a.Bytes(), c.B.Bytes(), g, c.N.Bytes()}
}

func unhex(values ...string) [][]byte {
	decoded := make([][]byte, len(values))
	for i, v := range values {
		decoded[i], _ = hex.DecodeString(v) // constants above
	}
	return decoded
}
