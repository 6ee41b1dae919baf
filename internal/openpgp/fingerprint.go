package openpgp

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha1"
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"
	"time"
)

// Fingerprint is the version 4 fingerprint (RFC 4880, 12.2; RFC 6637 for
// curves), 20 bytes, of a key in a slot made at the given time, as GnuPG
// computes it.
func Fingerprint(slot Slot, pub crypto.PublicKey, created time.Time) ([20]byte, error) {
	body := []byte{4}
	body = binary.BigEndian.AppendUint32(body, uint32(created.Unix()))
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		body = append(body, AlgorithmRSA)
		body = appendMPI(body, pub.N.Bytes())
		body = appendMPI(body, big.NewInt(int64(pub.E)).Bytes())
	case *ecdsa.PublicKey:
		point, err := pub.Bytes()
		if err != nil {
			return [20]byte{}, err
		}
		names := map[elliptic.Curve]string{elliptic.P256(): "p256", elliptic.P384(): "p384", elliptic.P521(): "p521"}
		body = appendCurve(body, slot, names[pub.Curve], point)
	case ed25519.PublicKey:
		body = appendCurve(body, slot, "ed25519", append([]byte{0x40}, pub...))
	case *ecdh.PublicKey:
		body = appendCurve(body, slot, "x25519", append([]byte{0x40}, pub.Bytes()...))
	default:
		return [20]byte{}, fmt.Errorf("no OpenPGP fingerprint for a %T", pub)
	}
	h := sha1.New()
	h.Write([]byte{0x99, byte(len(body) >> 8), byte(len(body))})
	h.Write(body)
	return [20]byte(h.Sum(nil)), nil
}

// appendCurve appends algorithm, curve, point and, for decryption, the
// parameters of the key derivation that GnuPG 2.2 uses with the curve.
func appendCurve(b []byte, slot Slot, name string, point []byte) []byte {
	attributes, ok := CurveAttributes(slot, name)
	if !ok {
		return b
	}
	oid := attributes[1:]
	b = append(b, attributes[0], byte(len(oid)))
	b = append(b, oid...)
	b = appendMPI(b, point)
	if slot != Decryption {
		return b
	}
	const sha256, sha384, sha512, aes128, aes192, aes256 = 8, 9, 10, 7, 8, 9 // RFC 4880, 9
	switch curve, _ := attributes.Curve(); {
	case curve.Bits <= 256:
		return append(b, 3, 1, sha256, aes128)
	case curve.Bits <= 384:
		return append(b, 3, 1, sha384, aes192)
	default:
		return append(b, 3, 1, sha512, aes256)
	}
}

// appendMPI appends a multiprecision integer (RFC 4880, 3.2) without leading
// zeros.
func appendMPI(b, n []byte) []byte {
	for len(n) > 0 && n[0] == 0 {
		n = n[1:]
	}
	length := 0
	if len(n) > 0 {
		length = 8*(len(n)-1) + bits.Len8(n[0])
	}
	b = append(b, byte(length>>8), byte(length))
	return append(b, n...)
}

// PutFingerprint writes DO C7, C8 or C9 (4.4.3.4).
func (c *Card) PutFingerprint(ctx context.Context, slot Slot, fingerprint [20]byte) error {
	err := c.PutData(ctx, slot.fingerprintTag(), fingerprint[:])
	if err == nil && c.data != nil {
		c.data.Key(slot).Fingerprint = fingerprint
	}
	return err
}

// PutCreated writes the generation time, DO CE, CF or D0, in seconds (4.4.1).
func (c *Card) PutCreated(ctx context.Context, slot Slot, created time.Time) error {
	return c.PutData(ctx, slot.createdTag(), binary.BigEndian.AppendUint32(nil, uint32(created.Unix())))
}
