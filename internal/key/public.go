package key

import (
	"bytes"
	"crypto"
	"crypto/x509"
)

// SamePublic reports whether two public keys are the same. It compares the
// encodings: a P-256 key may be there for ECDSA once, and once for key
// agreement.
func SamePublic(a, b crypto.PublicKey) bool {
	x, errX := x509.MarshalPKIXPublicKey(a)
	y, errY := x509.MarshalPKIXPublicKey(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}
