package pubkey

import (
	"crypto/rsa"
	"crypto/subtle"
	"fmt"
	"slices"
)

// Unpad is the message in what an RSA key made of a ciphertext, as many bytes as the modulus
// has: EME-PKCS1-v1_5, or EME-OAEP with *rsa.OAEPOptions. A wrong padding is rsa.ErrDecryption.
func Unpad(encoded []byte, opts any) ([]byte, error) {
	if oaep, is := opts.(*rsa.OAEPOptions); is {
		return withoutOAEP(encoded, oaep)
	}
	return withoutPadding(encoded)
}

// UnpadsOAEP reports whether the hash functions are there.
func UnpadsOAEP(o *rsa.OAEPOptions) bool {
	return o.Hash.Available() && (o.MGFHash == 0 || o.MGFHash.Available())
}

// withoutOAEP is the message in an encoded one, EME-OAEP (RFC 8017, 7.1.2). The mask may
// have a hash function of its own.
func withoutOAEP(encoded []byte, o *rsa.OAEPOptions) ([]byte, error) {
	masks := o.MGFHash
	if masks == 0 {
		masks = o.Hash
	}
	size := o.Hash.Size()
	if len(encoded) < 2*size+2 {
		return nil, fmt.Errorf("a modulus of %d bytes is too short for %s", len(encoded), o.Hash)
	}
	seed, db := slices.Clone(encoded[1:1+size]), slices.Clone(encoded[1+size:])
	Mask(seed, masks, db)
	Mask(db, masks, seed)
	h := o.Hash.New()
	h.Write(o.Label)
	// Which of these is wrong is not told (7.1.2, note), nor how long it took.
	right := subtle.ConstantTimeByteEq(encoded[0], 0) & subtle.ConstantTimeCompare(db[:size], h.Sum(nil))
	looking, start := 1, 0
	for i, b := range db[size:] {
		one, zero := subtle.ConstantTimeByteEq(b, 1), subtle.ConstantTimeByteEq(b, 0)
		start = subtle.ConstantTimeSelect(looking&one, i+1, start)
		right &= 1 ^ looking&(1^one)&(1^zero)
		looking &= 1 ^ one
	}
	if right&(1^looking) != 1 {
		return nil, ErrNotForThisKey
	}
	return db[size+start:], nil
}

// ErrNotForThisKey is the error of a message whose padding is wrong.
var ErrNotForThisKey error = notForThisKey{}

type notForThisKey struct{}

func (notForThisKey) Error() string { return "the message was not encrypted for this key" }

// Is says that it is the error that crypto/rsa has for it.
func (notForThisKey) Is(other error) bool { return other == rsa.ErrDecryption }

// withoutPadding is the message in an encoded one, EME-PKCS1-v1_5 (RFC 8017, 7.2.2).
func withoutPadding(encoded []byte) ([]byte, error) {
	const least = 8 // bytes of padding
	if len(encoded) > 2 && encoded[0] == 0 && encoded[1] == 2 {
		for i, b := range encoded[2:] {
			if b == 0 && i >= least {
				return encoded[2+i+1:], nil
			}
			if b == 0 {
				break
			}
		}
	}
	return nil, ErrNotForThisKey
}
