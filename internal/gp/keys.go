package gp

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/secret"
)

// Cipher is the kind of a symmetric key. Its value is the key type of 11.1.8.
type Cipher byte

// The ciphers of secure channel keys.
const (
	TripleDES Cipher = 0x80 // SCP01, SCP02
	AES       Cipher = 0x88 // SCP03
)

func (c Cipher) String() string {
	if c == AES {
		return "AES"
	}
	return "DES"
}

// CheckValue is a key check value (B.6): the beginning of a block of 00, with
// AES of 01, encrypted with the key.
type CheckValue [3]byte

func (v CheckValue) String() string { return fmt.Sprintf("%X", v[:]) }

// checkValue computes the key check value of a key.
func checkValue(c Cipher, key []byte) (v CheckValue) {
	block := make([]byte, 16)
	if c == AES {
		for i := range block {
			block[i] = 0x01
		}
		copy(v[:], ecb(aesCipher(key), block))
		return v
	}
	copy(v[:], ecb(tripleDES(key), block[:8]))
	return v
}

// Lengths of keys in bytes.
const (
	keyLength128 = 16
	keyLength192 = 24
	keyLength256 = 32
)

// ErrKeyFormat is a text that is not a set of keys, or keys that a secure
// channel cannot use. It never repeats what was given.
var ErrKeyFormat = errors.New("not a set of card keys")

// keyFormatError is an ErrKeyFormat that says why.
type keyFormatError string

func (e keyFormatError) Error() string        { return string(e) }
func (e keyFormatError) Is(target error) bool { return target == ErrKeyFormat }

func unusable(format string, args ...any) error { return keyFormatError(fmt.Sprintf(format, args...)) }

// KeySet is the three static keys of a secure channel (E.1.3, D.1.3; Amendment
// D, 4.1.2). Each is 16 bytes, in SCP03 also 24 or 32, and all are of one
// length. Whoever has a set wipes it.
type KeySet struct {
	enc, mac, dek *secret.Bytes
}

// NewKeySet makes a set of copies of the three keys.
func NewKeySet(enc, mac, dek []byte) (*KeySet, error) {
	switch len(enc) {
	case keyLength128, keyLength192, keyLength256:
	default:
		return nil, unusable("a key has %d bytes; card keys have 16, 24 or 32", len(enc))
	}
	if len(mac) != len(enc) || len(dek) != len(enc) {
		return nil, unusable("the three keys differ in length")
	}
	return &KeySet{
		enc: secret.New(bytes.Clone(enc)),
		mac: secret.New(bytes.Clone(mac)),
		dek: secret.New(bytes.Clone(dek)),
	}, nil
}

// ParseKeySet reads a set as it is written: one key in hexadecimal for all
// three, or three as ENC:MAC:DEK. White space around it does not matter.
func ParseKeySet(text *secret.Bytes) (*KeySet, error) {
	parts := bytes.Split(bytes.TrimSpace(text.Reveal()), []byte(":"))
	if len(parts) != 1 && len(parts) != 3 {
		return nil, unusable("the card keys are %d values; one key or ENC:MAC:DEK is needed", len(parts))
	}
	var keys [3][]byte
	for i, part := range parts {
		key := make([]byte, hex.DecodedLen(len(part)))
		defer clear(key)
		if _, err := hex.Decode(key, part); err != nil {
			// The error of hex would repeat a character of the key.
			return nil, unusable("a key is not hexadecimal")
		}
		keys[i] = key
	}
	if len(parts) == 1 {
		keys[1], keys[2] = keys[0], keys[0]
	}
	return NewKeySet(keys[0], keys[1], keys[2])
}

// DefaultKeySet is the test keys that blank cards come with, 40 to 4F. They
// protect nothing.
func DefaultKeySet() *KeySet {
	var key [keyLength128]byte
	for i := range key {
		key[i] = 0x40 + byte(i)
	}
	set, err := NewKeySet(key[:], key[:], key[:])
	if err != nil {
		panic(err) // the lengths are right
	}
	return set
}

// Length is the length of each key in bytes.
func (k *KeySet) Length() int { return k.enc.Len() }

// Equal reports whether both sets hold the same keys.
func (k *KeySet) Equal(other *KeySet) bool {
	return equal(k.enc.Reveal(), other.enc.Reveal()) && equal(k.mac.Reveal(), other.mac.Reveal()) && equal(k.dek.Reveal(), other.dek.Reveal())
}

// single reports whether the set is one key three times.
func (k *KeySet) single() bool {
	return equal(k.enc.Reveal(), k.mac.Reveal()) && equal(k.enc.Reveal(), k.dek.Reveal())
}

// CheckValues are the key check values of ENC, MAC and DEK.
func (k *KeySet) CheckValues(c Cipher) ([3]CheckValue, error) {
	if err := k.suits(c); err != nil {
		return [3]CheckValue{}, err
	}
	return [3]CheckValue{
		checkValue(c, k.enc.Reveal()), checkValue(c, k.mac.Reveal()), checkValue(c, k.dek.Reveal()),
	}, nil
}

// suits reports whether keys of this length exist with the cipher.
func (k *KeySet) suits(c Cipher) error {
	if c == TripleDES && k.Length() != keyLength128 {
		return unusable("SCP01 and SCP02 need keys of 16 bytes, and these have %d", k.Length())
	}
	return nil
}

// Text is the set as ParseKeySet reads it, ENC:MAC:DEK. The caller wipes it.
func (k *KeySet) Text() *secret.Bytes {
	const digits = "0123456789ABCDEF"
	text := make([]byte, 0, 3*2*k.Length()+2)
	for i, key := range k.all() {
		if i > 0 {
			text = append(text, ':')
		}
		for _, b := range key.Reveal() {
			text = append(text, digits[b>>4], digits[b&15])
		}
	}
	return secret.New(text)
}

// Reveal returns copies of the keys: ENC, MAC, DEK. The caller wipes them.
func (k *KeySet) Reveal() [][]byte {
	return [][]byte{bytes.Clone(k.enc.Reveal()), bytes.Clone(k.mac.Reveal()), bytes.Clone(k.dek.Reveal())}
}

// Clone is an independent copy.
func (k *KeySet) Clone() *KeySet {
	c, err := NewKeySet(k.enc.Reveal(), k.mac.Reveal(), k.dek.Reveal())
	if err != nil {
		panic(err) // k was checked when it was made
	}
	return c
}

func (k *KeySet) all() [3]*secret.Bytes { return [3]*secret.Bytes{k.enc, k.mac, k.dek} }

// Wipe overwrites the keys. It may be called on nil and more than once.
func (k *KeySet) Wipe() {
	if k == nil {
		return
	}
	for _, key := range k.all() {
		key.Wipe()
	}
}

func (k *KeySet) String() string { return "[card keys]" }
