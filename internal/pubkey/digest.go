package pubkey

import (
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
)

// digests are the hash functions of RFC 4055, 2.1.
func digests() map[crypto.Hash]asn1.ObjectIdentifier {
	return map[crypto.Hash]asn1.ObjectIdentifier{
		crypto.SHA1:   {1, 3, 14, 3, 2, 26},
		crypto.SHA224: {2, 16, 840, 1, 101, 3, 4, 2, 4},
		crypto.SHA256: {2, 16, 840, 1, 101, 3, 4, 2, 1},
		crypto.SHA384: {2, 16, 840, 1, 101, 3, 4, 2, 2},
		crypto.SHA512: {2, 16, 840, 1, 101, 3, 4, 2, 3},
	}
}

// DigestOID identifies SHA-1 and SHA-2; it is nil for others.
func DigestOID(hash crypto.Hash) asn1.ObjectIdentifier { return digests()[hash] }

// DigestOf is the hash function with an identifier, 0 where DigestOID has none such.
func DigestOf(oid asn1.ObjectIdentifier) crypto.Hash {
	for hash, own := range digests() {
		if own.Equal(oid) {
			return hash
		}
	}
	return 0
}

// ErrDigest is a digest for which there is no DigestInfo.
var ErrDigest = fmt.Errorf("%w: RSA signatures do not support this digest", errors.ErrUnsupported)

// DigestInfo is the structure of RFC 8017, 9.2, around a digest of SHA-256,
// SHA-384 or SHA-512; ErrDigest for others.
func DigestInfo(hash crypto.Hash, digest []byte) ([]byte, error) {
	switch hash {
	case crypto.SHA256, crypto.SHA384, crypto.SHA512:
		return AnyDigestInfo(hash, digest)
	}
	return nil, fmt.Errorf("%w: %s", ErrDigest, hash)
}

// AnyDigestInfo is the same for all digests that DigestOID knows.
func AnyDigestInfo(hash crypto.Hash, digest []byte) ([]byte, error) {
	oid := DigestOID(hash)
	if oid == nil {
		return nil, fmt.Errorf("%w: %s", ErrDigest, hash)
	}
	return asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}{pkix.AlgorithmIdentifier{Algorithm: oid, Parameters: asn1.NullRawValue}, digest})
}

// ParseDigestInfo is the digest in a DigestInfo (RFC 8017, 9.2), and its kind; ok is false
// for anything else.
func ParseDigestInfo(info []byte) (hash crypto.Hash, digest []byte, ok bool) {
	var parsed struct {
		Algorithm pkix.AlgorithmIdentifier
		Digest    []byte
	}
	rest, err := asn1.Unmarshal(info, &parsed)
	if err != nil || len(rest) > 0 {
		return 0, nil, false
	}
	hash = DigestOf(parsed.Algorithm.Algorithm)
	return hash, parsed.Digest, hash != 0 && len(parsed.Digest) == hash.Size()
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
