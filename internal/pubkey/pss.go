package pubkey

import (
	"crypto"
	"crypto/rsa"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
)

// PadPSS is EMSA-PSS (RFC 8017, 9.1.1) with MGF1 of the same hash function, as long
// as a modulus of so many bits. The salt is as long as the hash, or as options say.
func PadPSS(random io.Reader, bits int, hash crypto.Hash, digest []byte, saltLength int) ([]byte, error) {
	emBits := bits - 1
	emLength, size := (emBits+7)/8, hash.Size()
	switch saltLength {
	case rsa.PSSSaltLengthEqualsHash:
		saltLength = size
	case rsa.PSSSaltLengthAuto:
		saltLength = emLength - size - 2
	}
	if saltLength < 0 || emLength < size+saltLength+2 {
		return nil, fmt.Errorf("a modulus of %d bits is too short for this digest and salt", bits)
	}
	salt := make([]byte, saltLength)
	if _, err := io.ReadFull(random, salt); err != nil {
		return nil, err
	}
	h := hash.New()
	h.Write(make([]byte, 8))
	h.Write(digest)
	h.Write(salt)
	inner := h.Sum(nil)

	encoded := make([]byte, emLength)
	db := encoded[:emLength-size-1]
	db[len(db)-saltLength-1] = 0x01
	copy(db[len(db)-saltLength:], salt)
	Mask(db, hash, inner)
	db[0] &= 0xFF >> (8*emLength - emBits)
	copy(encoded[len(db):], inner)
	encoded[emLength-1] = 0xBC
	return append(make([]byte, (bits+7)/8-emLength), encoded...), nil
}

// Mask combines data with MGF1 (RFC 8017, B.2.1) of a seed.
func Mask(data []byte, hash crypto.Hash, seed []byte) {
	for counter := uint32(0); len(data) > 0; counter++ {
		h := hash.New()
		h.Write(seed)
		h.Write(binary.BigEndian.AppendUint32(nil, counter))
		n := subtle.XORBytes(data, data, h.Sum(nil)[:min(len(data), hash.Size())])
		data = data[n:]
	}
}
