package openpgp

import (
	"bytes"
	"encoding/asn1"
	"encoding/binary"
	"fmt"

	"github.com/cardctl/cardctl/internal/curve"
)

// Public-key algorithm identifiers of RFC 4880, 9.1 and RFC 6637, as they
// begin the algorithm attributes.
const (
	AlgorithmRSA   = 1
	AlgorithmECDH  = 18
	AlgorithmECDSA = 19
	AlgorithmEdDSA = 22
)

// Attributes is the value of DO C1, C2 or C3 (4.4.3.9), as it is on the card.
type Attributes []byte

// Curve is an elliptic curve that an OpenPGP card may have.
type Curve struct {
	Name string
	OID  []byte // content bytes of the object identifier
	Bits int
}

// Curves lists the curves of 4.4.3.10 that cardctl can use.
func Curves() []Curve {
	return []Curve{
		{"p256", []byte{0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07}, 256},
		{"p384", []byte{0x2B, 0x81, 0x04, 0x00, 0x22}, 384},
		{"p521", []byte{0x2B, 0x81, 0x04, 0x00, 0x23}, 521},
		{"ed25519", []byte{0x2B, 0x06, 0x01, 0x04, 0x01, 0xDA, 0x47, 0x0F, 0x01}, 255},
		{"x25519", []byte{0x2B, 0x06, 0x01, 0x04, 0x01, 0x97, 0x55, 0x01, 0x05, 0x01}, 255},
	}
}

// ParseAttributes checks the form of algorithm attributes.
func ParseAttributes(b []byte) (Attributes, error) {
	a := Attributes(b)
	if len(a) == 0 || a[0] == AlgorithmRSA && len(a) < 5 {
		return nil, fmt.Errorf("%w: algorithm attributes %X", ErrMalformed, b)
	}
	return a, nil
}

// Algorithm is the public-key algorithm identifier, 0 where it is not known.
func (a Attributes) Algorithm() int {
	if len(a) == 0 {
		return 0
	}
	return int(a[0])
}

// RSABits is the length of the modulus in bits, 0 where the key is not RSA.
func (a Attributes) RSABits() int {
	if a.Algorithm() != AlgorithmRSA {
		return 0
	}
	return int(binary.BigEndian.Uint16(a[1:3]))
}

// ExponentBits is the length of the public exponent field in bits.
func (a Attributes) ExponentBits() int { return int(binary.BigEndian.Uint16(a[3:5])) }

// ImportFormat is how a private key is imported: for RSA 0 standard (e, p, q),
// 1 with modulus, 2 CRT, 3 CRT with modulus; for curves 0xFF with public key.
func (a Attributes) ImportFormat() byte {
	if a.Algorithm() == AlgorithmRSA {
		if len(a) > 5 {
			return a[5]
		}
		return 0
	}
	if len(a) > 1 && a[len(a)-1] == 0xFF {
		return 0xFF
	}
	return 0
}

// Curve is the curve of the key; false for RSA and for curves not known here.
func (a Attributes) Curve() (Curve, bool) {
	if a.Algorithm() == AlgorithmRSA || len(a) == 0 {
		return Curve{}, false
	}
	oid := bytes.TrimSuffix(a[1:], []byte{0xFF})
	for _, curve := range Curves() {
		if bytes.Equal(oid, curve.OID) {
			return curve, true
		}
	}
	return Curve{}, false
}

// curveOID is the object identifier of a curve for ECDSA or ECDH.
func (a Attributes) curveOID() (oid asn1.ObjectIdentifier, ok bool) {
	if a.Algorithm() != AlgorithmECDSA && a.Algorithm() != AlgorithmECDH {
		return nil, false
	}
	content := bytes.TrimSuffix(a[1:], []byte{0xFF})
	const longest = 0x7F
	if len(content) > longest {
		return nil, false
	}
	_, err := asn1.Unmarshal(append([]byte{asn1.TagOID, byte(len(content))}, content...), &oid)
	return oid, err == nil
}

// Name is how users name the algorithm: rsa2048, p256, ed25519.
func (a Attributes) Name() string {
	if bits := a.RSABits(); bits != 0 {
		return fmt.Sprintf("rsa%d", bits)
	}
	if known, ok := a.Curve(); ok {
		return known.Name
	}
	if oid, ok := a.curveOID(); ok {
		if other, known := curve.ByOID(oid); known {
			return other.Name
		}
		return oid.String()
	}
	if len(a) == 0 {
		return "unknown"
	}
	return fmt.Sprintf("unknown (%X)", []byte(a))
}

// WithRSABits returns RSA attributes like a for another modulus: the card's
// own exponent length and import format are kept.
func (a Attributes) WithRSABits(bits int) Attributes {
	b := bytes.Clone(a)
	binary.BigEndian.PutUint16(b[1:3], uint16(bits))
	return b
}

// RSAAttributes are attributes for a card that shows no example of its own: a
// public exponent of 32 bits, standard import format.
func RSAAttributes(bits int) Attributes {
	return Attributes{AlgorithmRSA, byte(bits >> 8), byte(bits), 0x00, 0x20, 0x00}
}

// CurveAttributes are the attributes for a curve in a slot.
func CurveAttributes(slot Slot, name string) (Attributes, bool) {
	for _, curve := range Curves() {
		if curve.Name != name {
			continue
		}
		algorithm := byte(AlgorithmECDSA)
		switch {
		case slot == Decryption && name == "ed25519", slot != Decryption && name == "x25519":
			return nil, false
		case slot == Decryption:
			algorithm = AlgorithmECDH
		case name == "ed25519":
			algorithm = AlgorithmEdDSA
		}
		return append(Attributes{algorithm}, curve.OID...), true
	}
	return nil, false
}
