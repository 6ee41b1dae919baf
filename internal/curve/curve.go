// Package curve knows the elliptic curves that the standard library does not: their
// names by object identifier and, where a library computes on them, the verification of
// signatures. What a key on such a curve is for is left to its callers.
package curve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"encoding/asn1"
	"math/big"

	"github.com/ProtonMail/go-crypto/bitcurves"
	"github.com/ProtonMail/go-crypto/brainpool"
	"github.com/cloudflare/circl/sign/ed448"
)

// Curve is an elliptic curve y² = x³ + ax + b, or a twisted Edwards curve.
type Curve struct {
	// Name is the one of RFC 5639, SEC 2 or RFC 8410: brainpoolP256r1, secp256k1.
	Name string
	OID  asn1.ObjectIdentifier
	// arithmetic is nil where no library computes on the curve.
	arithmetic func() elliptic.Curve
}

func brainpoolOID(last int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 3, 36, 3, 3, 2, 8, 1, 1, last}
}

func secOID(last int) asn1.ObjectIdentifier { return asn1.ObjectIdentifier{1, 3, 132, 0, last} }

// OIDs of the algorithms of RFC 8410 on curves of 448 bits.
var (
	OIDX448  = asn1.ObjectIdentifier{1, 3, 101, 111}
	OIDEd448 = asn1.ObjectIdentifier{1, 3, 101, 113}
)

// all are the curves that files, cards and tokens are known to have.
func all() []Curve {
	return []Curve{
		{"brainpoolP160r1", brainpoolOID(1), nil}, {"brainpoolP160t1", brainpoolOID(2), nil},
		{"brainpoolP192r1", brainpoolOID(3), nil}, {"brainpoolP192t1", brainpoolOID(4), nil},
		{"brainpoolP224r1", brainpoolOID(5), nil}, {"brainpoolP224t1", brainpoolOID(6), nil},
		{"brainpoolP256r1", brainpoolOID(7), brainpool.P256r1}, {"brainpoolP256t1", brainpoolOID(8), brainpool.P256t1},
		{"brainpoolP320r1", brainpoolOID(9), nil}, {"brainpoolP320t1", brainpoolOID(10), nil},
		{"brainpoolP384r1", brainpoolOID(11), brainpool.P384r1}, {"brainpoolP384t1", brainpoolOID(12), brainpool.P384t1},
		{"brainpoolP512r1", brainpoolOID(13), brainpool.P512r1}, {"brainpoolP512t1", brainpoolOID(14), brainpool.P512t1},
		{"secp256k1", secOID(10), func() elliptic.Curve { return bitcurves.S256() }},
		{"P-224", secOID(33), elliptic.P224},
		{"secp192r1", asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 1}, nil},
		{"secp192k1", secOID(31), nil}, {"secp224k1", secOID(32), nil},
		{"secp160r1", secOID(8), nil}, {"secp160k1", secOID(9), nil},
		{"sect163k1", secOID(1), nil}, {"sect163r2", secOID(15), nil}, {"sect233k1", secOID(26), nil}, {"sect233r1", secOID(27), nil},
		{"sect283k1", secOID(16), nil}, {"sect283r1", secOID(17), nil}, {"sect409k1", secOID(36), nil}, {"sect409r1", secOID(37), nil},
		{"sect571k1", secOID(38), nil}, {"sect571r1", secOID(39), nil},
		{"FRP256v1", asn1.ObjectIdentifier{1, 2, 250, 1, 223, 101, 256, 1}, nil},
		{"SM2", asn1.ObjectIdentifier{1, 2, 156, 10197, 1, 301}, nil},
		{"X448", OIDX448, nil}, {"Ed448", OIDEd448, nil},
	}
}

// ByOID finds a curve.
func ByOID(oid asn1.ObjectIdentifier) (Curve, bool) {
	for _, c := range all() {
		if c.OID.Equal(oid) {
			return c, true
		}
	}
	return Curve{}, false
}

// Verifies reports whether Verify can check signatures on this curve.
func (c Curve) Verifies() bool { return c.arithmetic != nil || c.OID.Equal(OIDEd448) }

// Verify checks a signature: of ECDSA as SEQUENCE of r and s (RFC 3279, 2.2.3) over the
// digest of a message, of Ed448 as 114 bytes over the message itself. point is the
// public key: an uncompressed point (SEC 1, 2.3.3), or the 57 bytes of Ed448. A curve
// without Verifies never verifies.
func (c Curve) Verify(point, message, signature []byte) bool {
	if c.OID.Equal(OIDEd448) {
		return len(point) == ed448.PublicKeySize && len(signature) == ed448.SignatureSize &&
			ed448.Verify(ed448.PublicKey(point), message, signature, "")
	}
	if c.arithmetic == nil {
		return false
	}
	x, y, ok := c.coordinates(point)
	//lint:ignore SA1019 the standard library has no other way for curves that it does not have
	return ok && ecdsa.VerifyASN1(&ecdsa.PublicKey{Curve: c.arithmetic(), X: x, Y: y}, message, signature)
}

// Has reports whether a point is on the curve, true for a curve without arithmetic here.
func (c Curve) Has(point []byte) bool {
	if c.arithmetic == nil {
		return true
	}
	_, _, ok := c.coordinates(point)
	return ok
}

// coordinates are those of a point, if it is on the curve.
func (c Curve) coordinates(point []byte) (x, y *big.Int, ok bool) {
	on := c.arithmetic()
	size := (on.Params().BitSize + 7) / 8
	if len(point) != 1+2*size || point[0] != uncompressed {
		return nil, nil, false
	}
	x, y = new(big.Int).SetBytes(point[1:1+size]), new(big.Int).SetBytes(point[1+size:])
	if x.Cmp(on.Params().P) >= 0 || y.Cmp(on.Params().P) >= 0 {
		return nil, nil, false
	}
	//lint:ignore SA1019 nothing secret is computed, and the standard library does not have the curve
	return x, y, on.IsOnCurve(x, y)
}

// uncompressed begins a point with both coordinates (SEC 1, 2.3.3).
const uncompressed = 4

// Size is the length in bytes of a coordinate, 0 where it is not known.
func (c Curve) Size() int {
	if c.arithmetic == nil {
		return 0
	}
	return (c.arithmetic().Params().BitSize + 7) / 8
}
