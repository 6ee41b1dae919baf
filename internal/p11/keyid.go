package p11

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// KeyID is the CKA_ID that a key gets: the SHA-1 of its public key, 20 bytes.
// What of the public key is hashed, PKCS#11 does not say. This is what NSS
// (PK11_MakeIDFromPubKey) and OpenSC hash, so that browsers and OpenSC's tools
// find the certificate's key: an RSA key's modulus without leading zeros, the
// point of an elliptic curve, uncompressed, or the bytes of an Ed25519 key. It
// is nil for other keys.
func KeyID(public crypto.PublicKey) []byte {
	var value []byte
	switch key := public.(type) {
	case *rsa.PublicKey:
		value = key.N.Bytes()
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			return nil
		}
		value = point
	case ed25519.PublicKey:
		value = key
	case *ecdh.PublicKey:
		value = key.Bytes()
	case *pubkey.Other:
		value = key.Key
	default:
		return nil
	}
	id := sha1.Sum(value)
	return id[:]
}

// provisionalID is the ID of a key whose public key is not known yet.
func provisionalID() []byte {
	id := make([]byte, sha1.Size)
	_, _ = rand.Read(id) // it never fails
	return id
}

// MayBeDivided reports whether the private half, which is not seen yet, may have another ID:
// the public one has a provisional one, as far as one can tell.
func (k *StoredKey) MayBeDivided() bool {
	return k.HasPublic && !k.HasPrivate && len(k.ID) == sha1.Size && !k.makesID(k.ID)
}
