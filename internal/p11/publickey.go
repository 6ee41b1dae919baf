package p11

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"

	"github.com/miekg/pkcs11"

	"github.com/cardctl/cardctl/internal/curve"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Key types of PKCS#11 3.0 that 2.40 does not have.
const (
	ckkECEdwards    = 0x40
	ckkECMontgomery = 0x41
)

const maxModulus = 16384 / 8 // bytes; a longer one is not a key but an attack

// rsaPublicKey is the key with CKA_MODULUS and CKA_PUBLIC_EXPONENT, both
// big-endian (PKCS#11 2.40 mechanisms, 2.1.2).
func rsaPublicKey(modulus, exponent []byte) (crypto.PublicKey, error) {
	modulus, exponent = bytes.TrimLeft(modulus, "\x00"), bytes.TrimLeft(exponent, "\x00")
	if len(modulus) == 0 || len(modulus) > maxModulus {
		return nil, errors.New("CKA_MODULUS has no reasonable length")
	}
	if len(exponent) == 0 || len(exponent) > 4 || exponent[0]&0x80 != 0 && len(exponent) == 4 {
		return nil, errors.New("CKA_PUBLIC_EXPONENT has no reasonable length")
	}
	e := 0
	for _, b := range exponent {
		e = e<<8 | int(b)
	}
	return &rsa.PublicKey{N: new(big.Int).SetBytes(modulus), E: e}, nil
}

// The curves, by the DER of CKA_EC_PARAMS: an object identifier, or the name
// that PKCS#11 3.0 allows for the Edwards and Montgomery curves.
var (
	oidP256    = asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	oidP384    = asn1.ObjectIdentifier{1, 3, 132, 0, 34}
	oidP521    = asn1.ObjectIdentifier{1, 3, 132, 0, 35}
	oidEd25519 = asn1.ObjectIdentifier{1, 3, 101, 112}
	oidX25519  = asn1.ObjectIdentifier{1, 3, 101, 110}
	// GnuPG's own, which OpenPGP cards have in their algorithm attributes.
	oidEd25519GNU = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11591, 15, 1}
	oidCv25519GNU = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 3029, 1, 5, 1}
)

// ecPublicKey is the key with CKA_EC_PARAMS and CKA_EC_POINT.
func ecPublicKey(params, point []byte) (crypto.PublicKey, error) {
	var (
		oid  asn1.ObjectIdentifier
		name string
	)
	if rest, err := asn1.Unmarshal(params, &oid); err != nil || len(rest) > 0 {
		if rest, err := asn1.Unmarshal(params, &name); err != nil || len(rest) > 0 {
			return nil, errors.New("CKA_EC_PARAMS names no curve")
		}
	}
	switch {
	case oid.Equal(oidP256):
		return weierstrass(elliptic.P256(), point)
	case oid.Equal(oidP384):
		return weierstrass(elliptic.P384(), point)
	case oid.Equal(oidP521):
		return weierstrass(elliptic.P521(), point)
	case oid.Equal(oidEd25519), oid.Equal(oidEd25519GNU), name == "edwards25519":
		for _, p := range pointForms(point) {
			if len(p) == ed25519.PublicKeySize {
				return ed25519.PublicKey(bytes.Clone(p)), nil
			}
		}
		return nil, errors.New("CKA_EC_POINT is not a point of Ed25519")
	case oid.Equal(oidX25519), oid.Equal(oidCv25519GNU), name == "curve25519":
		for _, p := range pointForms(point) {
			if key, err := ecdh.X25519().NewPublicKey(p); err == nil {
				return key, nil
			}
		}
		return nil, errors.New("CKA_EC_POINT is not a point of X25519")
	}
	return otherCurve(oid, name, point)
}

// otherCurve is a key on a curve that the standard library does not have. The point is
// uncompressed or compressed (SEC 1, 2.3.3), or 56 or 57 bytes on curves of 448 bits.
func otherCurve(oid asn1.ObjectIdentifier, name string, point []byte) (crypto.PublicKey, error) {
	const x448, ed448 = 56, 57
	for _, p := range pointForms(point) {
		switch {
		case len(p) == ed448 && (name == "edwards448" || oid.Equal(curve.OIDEd448)):
			return pubkey.OfAlgorithm(curve.OIDEd448, p)
		case len(p) == x448 && (name == "curve448" || oid.Equal(curve.OIDX448)):
			return pubkey.OfAlgorithm(curve.OIDX448, p)
		case len(oid) > 0 && isPoint(p):
			return pubkey.OnCurve(oid, p)
		}
	}
	return nil, fmt.Errorf("CKA_EC_POINT is not a point of %s%s", oid, name)
}

// isPoint reports whether bytes can be a point: one or two coordinates behind a format.
func isPoint(p []byte) bool {
	const shortest = 1 + 2*14
	return len(p) >= shortest && p[0] == 4 && len(p)%2 == 1 || len(p) > shortest/2 && (p[0] == 2 || p[0] == 3)
}

func weierstrass(curve elliptic.Curve, point []byte) (crypto.PublicKey, error) {
	for _, p := range pointForms(point) {
		if key, err := ecdsa.ParseUncompressedPublicKey(curve, p); err == nil {
			return key, nil
		}
	}
	return nil, fmt.Errorf("CKA_EC_POINT is not a point of %s", curve.Params().Name)
}

// pointForms are the readings of CKA_EC_POINT: an OCTET STRING as the
// specification wants it, a BIT STRING as some say for Edwards curves, the bare
// bytes. A reading that is not meant has the wrong length or is off the curve.
func pointForms(point []byte) [][]byte {
	var (
		forms  [][]byte
		octets []byte
		bits   asn1.BitString
	)
	if rest, err := asn1.Unmarshal(point, &octets); err == nil && len(rest) == 0 {
		forms = append(forms, octets)
	}
	if rest, err := asn1.Unmarshal(point, &bits); err == nil && len(rest) == 0 && bits.BitLength%8 == 0 {
		forms = append(forms, bits.Bytes)
	}
	return append(forms, point)
}

// keyType is the CKA_KEY_TYPE of a public key's private half.
func keyType(public crypto.PublicKey) (uint, bool) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return pkcs11.CKK_RSA, true
	case *ecdsa.PublicKey:
		return pkcs11.CKK_EC, true
	case ed25519.PublicKey:
		return ckkECEdwards, true
	case *ecdh.PublicKey:
		if key.Curve() == ecdh.X25519() {
			return ckkECMontgomery, true
		}
		return pkcs11.CKK_EC, true
	case *pubkey.Other:
		switch {
		case key.RSA != nil:
			return pkcs11.CKK_RSA, true
		case key.IsEC():
			return pkcs11.CKK_EC, true
		case key.Curve.OID.Equal(curve.OIDEd448):
			return ckkECEdwards, true
		case key.Curve.OID.Equal(curve.OIDX448):
			return ckkECMontgomery, true
		}
	}
	return 0, false
}
