// Package pubkey compares and names public keys, and wraps digests for RSA, for
// every layer between a card and a certificate. What a key is for is left to
// package key.
package pubkey

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
)

// Same reports whether two public keys are the same. It compares the encodings:
// a P-256 key may be there for ECDSA once, and once for key agreement.
func Same(a, b crypto.PublicKey) bool {
	if differ(a, b) {
		return false
	}
	x, errX := canonical(a)
	y, errY := canonical(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
}

// differ tells most keys apart, of a token with a thousand in no time.
func differ(a, b crypto.PublicKey) bool {
	switch x := a.(type) {
	case *ecdsa.PublicKey:
		y, ok := b.(*ecdsa.PublicKey)
		return ok && !x.Equal(y)
	case *rsa.PublicKey:
		y, ok := b.(*rsa.PublicKey)
		return ok && !x.Equal(y)
	}
	return false
}

// Fingerprint names a key that has no fingerprint of its own: the SHA-256 of its
// SubjectPublicKeyInfo, upper-case hex of 32 bytes. It is empty for a key that
// cannot be encoded.
func Fingerprint(public crypto.PublicKey) string {
	der, err := Marshal(public)
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%X", sha256.Sum256(der))
}

// Agreement is a public key for ECDH: an X25519 key, or one of a NIST curve.
func Agreement(public crypto.PublicKey) (*ecdh.PublicKey, error) {
	switch key := public.(type) {
	case *ecdh.PublicKey:
		return key, nil
	case *ecdsa.PublicKey:
		return key.ECDH()
	}
	return nil, fmt.Errorf("%w: a %T has no key agreement", errors.ErrUnsupported, public)
}

// IsRSA reports whether this is an RSA key.
func IsRSA(public crypto.PublicKey) bool {
	_, is := public.(*rsa.PublicKey)
	return is
}
