package cardsim

import (
	"bytes"
	"crypto/ecdh"
	"crypto/elliptic"
	"errors"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// attributes are algorithm attributes, DOs C1 to C3, section 4.4.3.9.
type attributes struct {
	algorithm byte

	// RSA
	bits         int
	exponentBits int
	format       importFormat

	// elliptic curves
	curve      *curve
	wantsPoint bool // key import comes with the public key
}

// Algorithm identifiers of RFC 4880 and its successors.
const (
	algorithmRSA   = 0x01
	algorithmECDH  = 0x12
	algorithmECDSA = 0x13
	algorithmEdDSA = 0x16
)

// importFormat is what an RSA key is imported as.
type importFormat byte

const (
	importStandard        importFormat = iota // e, p, q
	importStandardModulus                     // e, p, q, n
	importCRT                                 // e, p, q, u, dp, dq
	importCRTModulus                          // e, p, q, u, dp, dq, n
)

// curve is an elliptic curve the card knows.
type curve struct {
	oid   []byte
	bytes int            // of a coordinate or private key
	nist  elliptic.Curve // nil for Ed25519 and X25519
	ecdh  ecdh.Curve     // nil for Ed25519
	only  byte           // the one algorithm it serves, 0 for ECDH and ECDSA
}

func curves() []*curve {
	return []*curve{
		{oid: []byte{0x2A, 0x86, 0x48, 0xCE, 0x3D, 0x03, 0x01, 0x07}, bytes: 32, nist: elliptic.P256(), ecdh: ecdh.P256()},
		{oid: []byte{0x2B, 0x81, 0x04, 0x00, 0x22}, bytes: 48, nist: elliptic.P384(), ecdh: ecdh.P384()},
		{oid: []byte{0x2B, 0x81, 0x04, 0x00, 0x23}, bytes: 66, nist: elliptic.P521(), ecdh: ecdh.P521()},
		{oid: []byte{0x2B, 0x06, 0x01, 0x04, 0x01, 0xDA, 0x47, 0x0F, 0x01}, bytes: 32, only: algorithmEdDSA},
		{oid: []byte{0x2B, 0x06, 0x01, 0x04, 0x01, 0x97, 0x55, 0x01, 0x05, 0x01}, bytes: 32, ecdh: ecdh.X25519(), only: algorithmECDH},
	}
}

var errAttributes = errors.New("algorithm attributes that the card does not know")

// parseAttributes reads the value of DO C1, C2 or C3.
func parseAttributes(value []byte) (attributes, error) {
	if len(value) == 0 {
		return attributes{}, errAttributes
	}
	at := attributes{algorithm: value[0]}
	if at.algorithm == algorithmRSA {
		if len(value) != 6 {
			return attributes{}, errAttributes
		}
		at.bits = int(value[1])<<8 | int(value[2])
		at.exponentBits = int(value[3])<<8 | int(value[4])
		at.format = importFormat(value[5])
		known := at.bits == 2048 || at.bits == 3072 || at.bits == 4096
		if !known || at.exponentBits < 17 || at.exponentBits > 32 || at.format > importCRTModulus {
			return attributes{}, errAttributes
		}
		return at, nil
	}
	oid := value[1:]
	for _, c := range curves() {
		rest, ok := bytes.CutPrefix(oid, c.oid)
		if !ok || len(rest) > 1 || len(rest) == 1 && rest[0] != 0xFF && rest[0] != 0x00 {
			continue
		}
		fits := at.algorithm == c.only || c.only == 0 && (at.algorithm == algorithmECDSA || at.algorithm == algorithmECDH)
		if !fits {
			break
		}
		at.curve = c
		at.wantsPoint = len(rest) == 1 && rest[0] == 0xFF
		return at, nil
	}
	return attributes{}, errAttributes
}

// suits says whether the slot takes keys with these attributes.
func (a *openpgp) suits(s slot, at attributes) bool {
	switch at.algorithm {
	case algorithmRSA:
		return !a.profile.strictAttributes || at.exponentBits == strictExponentBits && at.format == importStandard
	case algorithmECDH:
		return a.profile.ec && s == slotDEC
	default:
		return a.profile.ec && s != slotDEC
	}
}

const (
	exponentBits       = 32
	strictExponentBits = 17
)

func (a *openpgp) rsaAttributes(bits int) []byte {
	e := byte(exponentBits)
	if a.profile.strictAttributes {
		e = strictExponentBits
	}
	return []byte{algorithmRSA, byte(bits >> 8), byte(bits), 0, e, byte(importStandard)}
}

func (a *openpgp) defaultAttributes() []byte { return a.rsaAttributes(2048) }

// algorithmInformation is DO FA, section 4.4.3.11: all attributes that the
// slots take.
func (a *openpgp) algorithmInformation() []byte {
	var value []byte
	for s := slotSIG; s < slots; s++ {
		tag := tagAttributes + iso7816.Tag(s)
		for _, bits := range []int{2048, 3072, 4096} {
			value = iso7816.AppendTLV(value, tag, a.rsaAttributes(bits))
		}
		for _, c := range curves() {
			for _, algorithm := range []byte{algorithmECDSA, algorithmEdDSA, algorithmECDH} {
				candidate := append([]byte{algorithm}, c.oid...)
				if at, err := parseAttributes(candidate); err == nil && a.suits(s, at) {
					value = iso7816.AppendTLV(value, tag, candidate)
				}
			}
		}
	}
	return value
}

// putAttributes is PUT DATA of DO C1, C2 or C3. Other attributes than before
// take the key away, with what was said of it.
func (a *openpgp) putAttributes(s slot, data []byte) iso7816.Status {
	at, err := parseAttributes(data)
	if err != nil || !a.suits(s, at) {
		return iso7816.StatusWrongData
	}
	if bytes.Equal(a.state.Keys[s].Attributes, data) {
		return iso7816.StatusOK
	}
	a.removeKey(s)
	a.state.Keys[s].Attributes = bytes.Clone(data)
	return a.save()
}
