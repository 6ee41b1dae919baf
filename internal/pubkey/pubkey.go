// Package pubkey compares and names public keys, and wraps digests for RSA, for
// every layer between a card and a certificate. What a key is for is left to
// package key.
package pubkey

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
)

// Same reports whether two public keys are the same. It compares the encodings:
// a P-256 key may be there for ECDSA once, and once for key agreement.
func Same(a, b crypto.PublicKey) bool {
	x, errX := canonical(a)
	y, errY := canonical(b)
	return errX == nil && errY == nil && bytes.Equal(x, y)
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

// ErrDigest is a digest for which there is no DigestInfo.
var ErrDigest = fmt.Errorf("%w: RSA signatures do not support this digest", errors.ErrUnsupported)

// DigestInfo is the structure of RFC 8017, 9.2, around a digest of SHA-256,
// SHA-384 or SHA-512; ErrDigest for others.
func DigestInfo(hash crypto.Hash, digest []byte) ([]byte, error) {
	oids := map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
		crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
		crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
	}
	oid, ok := oids[hash]
	if !ok {
		return nil, fmt.Errorf("%w: %s", ErrDigest, hash)
	}
	return asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}{pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.NullRawValue}, digest})
}

// PadPKCS1v15 is EMSA-PKCS1-v1_5 (RFC 8017, 9.2) in size bytes around a DigestInfo, which
// has at least eleven bytes less.
func PadPKCS1v15(info []byte, size int) (block []byte, fits bool) {
	const overhead = 3 + 8 // 00 01, FF eight times, 00
	if len(info)+overhead > size {
		return nil, false
	}
	block = make([]byte, size)
	block[1] = 1
	for i := 2; i < size-len(info)-1; i++ {
		block[i] = 0xFF
	}
	copy(block[size-len(info):], info)
	return block, true
}

// FitDigest gives a digest for ECDSA a length of n bytes. There are cards that take
// no digest but the one as long as the curve, or SHA-512 for P-521. ECDSA reads
// a digest as a number, of as many leading bits as the curve has: what is cut
// off here would not be looked at, and zeros in front change nothing.
func FitDigest(digest []byte, n int) []byte {
	if len(digest) >= n {
		return digest[:n]
	}
	return append(make([]byte, n-len(digest), n), digest...)
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
