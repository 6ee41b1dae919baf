package pubkey

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/curve"
)

// OIDs of kinds of public keys.
var (
	oidEC     = asn1.ObjectIdentifier{1, 2, 840, 10045, 2, 1}          // RFC 5480, 2.1.1
	oidRSA    = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 1}      // RFC 4055, 1.2
	oidRSAPSS = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, 10}     // RFC 4055, 1.2
	oidDH     = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 3, 1}      // PKCS #3
	oidDHX    = asn1.ObjectIdentifier{1, 2, 840, 10046, 2, 1}          // RFC 3279, 2.3.3
	oidDSA    = asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}          // RFC 3279, 2.3.2
	oidGOST   = asn1.ObjectIdentifier{1, 2, 643, 7, 1, 1, 1, 1}        // RFC 9215
	oidGOST5  = asn1.ObjectIdentifier{1, 2, 643, 7, 1, 1, 1, 2}        // RFC 9215
	oidML44   = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 17} // RFC 9881
	oidML65   = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 18} // RFC 9881
	oidML87   = asn1.ObjectIdentifier{2, 16, 840, 1, 101, 3, 4, 3, 19} // RFC 9881
)

// Other is a public key for which the standard library has no type: one on another
// curve, or of another algorithm.
type Other struct {
	// Curve is the zero value for a key without one, or on one that has no name here.
	Curve curve.Curve
	// Key is the content of the BIT STRING: an uncompressed or compressed point (SEC 1,
	// 2.3.3), or what the algorithm has.
	Key []byte
	// RSA is the key of an algorithm that is RSA under a name of its own: RSASSA-PSS.
	RSA *rsa.PublicKey
	// Parameters are those of the algorithm in DER, nil where there are none.
	Parameters []byte

	algorithm asn1.ObjectIdentifier
	named     asn1.ObjectIdentifier // the curve by its OID
	info      []byte                // SubjectPublicKeyInfo
}

// Name is the name of the curve or algorithm: brainpoolP256r1, Ed448, RSASSA-PSS; its
// OID where it has none here.
func (o *Other) Name() string {
	switch {
	case o.Curve.Name != "":
		return o.Curve.Name
	case len(o.named) > 0:
		return o.named.String()
	case o.algorithm.Equal(oidEC):
		return "EC with explicit parameters"
	}
	return NameOf(o.algorithm)
}

// NameOf is the name of an algorithm of keys or of a curve, its OID where it has none here.
func NameOf(oid asn1.ObjectIdentifier) string {
	names := []struct {
		oid  asn1.ObjectIdentifier
		name string
	}{
		{oidRSAPSS, "RSASSA-PSS"}, {oidDSA, "DSA"}, {oidGOST, "GOST R 34.10-2012"}, {oidGOST5, "GOST R 34.10-2012"},
		{oidML44, "ML-DSA-44"}, {oidML65, "ML-DSA-65"}, {oidML87, "ML-DSA-87"}, {oidDH, "Diffie-Hellman"}, {oidDHX, "Diffie-Hellman"},
	}
	for _, known := range names {
		if oid.Equal(known.oid) {
			return known.name
		}
	}
	if on, ok := curve.ByOID(oid); ok {
		return on.Name
	}
	return oid.String()
}

// Explicit is the curve with these parameters (SEC 1, C.2) in DER, nil for one that the
// standard library does not have.
func Explicit(parameters []byte) elliptic.Curve {
	e, _, err := ber.Read(parameters)
	if err != nil {
		return nil
	}
	return explicit(e)
}

// IsEC reports whether the key is one for ECDSA and ECDH.
func (o *Other) IsEC() bool { return o.algorithm.Equal(oidEC) }

// Equal compares the encodings.
func (o *Other) Equal(x crypto.PublicKey) bool { return Same(o, x) }

// Parse reads a SubjectPublicKeyInfo (RFC 5280, 4.1). Keys that the standard library has
// no type for are an *Other. Compressed points, and curves that are given by their
// parameters, become what they are.
func Parse(info []byte) (crypto.PublicKey, error) {
	if public, err := x509.ParsePKIXPublicKey(info); err == nil {
		if _, err := x509.MarshalPKIXPublicKey(public); err == nil { // not DSA
			return public, nil
		}
	}
	outer, rest, err := ber.Read(info)
	if err != nil || len(rest) > 0 || !outer.Is(ber.Sequence) {
		return nil, errInfo
	}
	parts, _ := outer.Elements(2) // what follows is nobody's
	if len(parts) != 2 || !parts[0].Is(ber.Sequence) || !parts[1].Is(ber.BitString) {
		return nil, errInfo
	}
	bits, err := parts[1].Octets()
	algorithm, _ := parts[0].Elements(2)
	if err != nil || len(algorithm) == 0 || len(bits) == 0 {
		return nil, errInfo
	}
	key := &Other{Key: bits[1:], info: info}
	if key.algorithm, err = algorithm[0].ObjectIdentifier(); err != nil {
		return nil, errInfo
	}
	if len(algorithm) == 2 {
		key.Parameters = algorithm[1].Raw
	}
	switch {
	case key.algorithm.Equal(oidEC) && len(algorithm) == 2:
		return parseEC(key, algorithm[1])
	case key.algorithm.Equal(oidRSAPSS), key.algorithm.Equal(oidRSA):
		key.RSA = parseRSA(key.Key)
	default:
		key.Curve, _ = curve.ByOID(key.algorithm)
	}
	return key, nil
}

var errInfo = errors.New("not a SubjectPublicKeyInfo")

// OnCurve is the public key at a point of the curve with this OID. The point is
// uncompressed or compressed (SEC 1, 2.3.3).
func OnCurve(oid asn1.ObjectIdentifier, point []byte) (crypto.PublicKey, error) {
	parameters, err := asn1.Marshal(oid)
	if err != nil {
		return nil, err
	}
	return encoded(pkix.AlgorithmIdentifier{Algorithm: oidEC, Parameters: asn1.RawValue{FullBytes: parameters}}, point)
}

// OfAlgorithm is the public key of an algorithm without parameters, as those of RFC
// 8410 are.
func OfAlgorithm(oid asn1.ObjectIdentifier, key []byte) (crypto.PublicKey, error) {
	return encoded(pkix.AlgorithmIdentifier{Algorithm: oid}, key)
}

func encoded(algorithm pkix.AlgorithmIdentifier, key []byte) (crypto.PublicKey, error) {
	info, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{algorithm, asn1.BitString{Bytes: key, BitLength: len(key) * 8}})
	if err != nil {
		return nil, err
	}
	return Parse(info)
}

func parseRSA(der []byte) *rsa.PublicKey {
	key, err := x509.ParsePKCS1PublicKey(der)
	if err != nil {
		return nil
	}
	return key
}

// nist are the curves of the standard library.
func nist() map[string]elliptic.Curve {
	return map[string]elliptic.Curve{
		"1.2.840.10045.3.1.7": elliptic.P256(), "1.3.132.0.34": elliptic.P384(), "1.3.132.0.35": elliptic.P521(),
	}
}

func parseEC(key *Other, parameters ber.Element) (crypto.PublicKey, error) {
	oid, err := parameters.ObjectIdentifier()
	if err != nil {
		if on := explicit(parameters); on != nil {
			if public := at(on, key.Key); public != nil {
				return public, nil
			}
		}
		return key, nil
	}
	if on, ok := nist()[oid.String()]; ok {
		if public := at(on, key.Key); public != nil {
			return public, nil
		}
		return nil, fmt.Errorf("not a point of %s", on.Params().Name)
	}
	key.named = oid
	key.Curve, _ = curve.ByOID(oid)
	return key, nil
}

// at is the key at a point, uncompressed or compressed; nil if it is not on the curve.
func at(on elliptic.Curve, point []byte) crypto.PublicKey {
	if public, err := ecdsa.ParseUncompressedPublicKey(on, point); err == nil {
		return public
	}
	x, y := elliptic.UnmarshalCompressed(on, point)
	if x == nil {
		return nil
	}
	size := (on.Params().BitSize + 7) / 8
	whole := make([]byte, 1+2*size)
	whole[0] = 4 // uncompressed
	x.FillBytes(whole[1 : 1+size])
	y.FillBytes(whole[1+size:])
	public, err := ecdsa.ParseUncompressedPublicKey(on, whole)
	if err != nil {
		return nil
	}
	return public
}

// explicit is the curve whose parameters these are (SEC 1, C.2), nil for one that the
// standard library does not have. The prime, b and the order tell.
func explicit(parameters ber.Element) elliptic.Curve {
	const fewest, most, order, b = 5, 6, 4, 1
	list, err := parameters.Elements(most)
	if err != nil || len(list) < fewest {
		return nil
	}
	field, errField := list[1].Elements(2)
	coefficients, errCurve := list[2].Elements(3)
	n, errOrder := list[order].Int()
	if errField != nil || errCurve != nil || errOrder != nil || len(field) != 2 || len(coefficients) < 2 {
		return nil
	}
	p, err := field[1].Int()
	if err != nil {
		return nil
	}
	for _, on := range nist() {
		its := on.Params()
		if its.P.Cmp(p) == 0 && its.N.Cmp(n) == 0 && its.B.Cmp(new(big.Int).SetBytes(coefficients[b].Content)) == 0 {
			return on
		}
	}
	return nil
}

// Marshal encodes a public key of any kind as SubjectPublicKeyInfo.
func Marshal(public crypto.PublicKey) ([]byte, error) {
	if other, ok := public.(*Other); ok {
		return bytes.Clone(other.info), nil
	}
	return x509.MarshalPKIXPublicKey(public)
}

// canonical is an encoding that is the same for the same key, whatever it is called.
func canonical(public crypto.PublicKey) ([]byte, error) {
	if other, ok := public.(*Other); ok && other.RSA != nil {
		public = other.RSA
	}
	return Marshal(public)
}
