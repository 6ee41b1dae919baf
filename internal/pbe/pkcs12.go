package pbe

import (
	"context"
	"crypto"
	"crypto/cipher"
	"crypto/des"
	"crypto/hmac"
	_ "crypto/md5" // what the MAC of a file may name
	"crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"
	"unicode/utf16"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// parsePKCS12 reads the schemes of RFC 7292, C.
func parsePKCS12(oid asn1.ObjectIdentifier, parameters ber.Element) (Scheme, error) {
	known := map[string]struct {
		size  int // of the key in bytes
		block func([]byte) (cipher.Block, error)
	}{
		"1.2.840.113549.1.12.1.1": {16, nil},
		"1.2.840.113549.1.12.1.2": {5, nil},
		"1.2.840.113549.1.12.1.3": {24, des.NewTripleDESCipher},
		"1.2.840.113549.1.12.1.4": {16, twoKeys},
		"1.2.840.113549.1.12.1.5": {16, newRC2},
		"1.2.840.113549.1.12.1.6": {5, newRC2},
	}
	scheme, ok := known[oid.String()]
	if !ok {
		return Scheme{}, unknown(oid)
	}
	salt, iterations, err := saltAndCount(parameters)
	if err != nil {
		return Scheme{}, err
	}
	return Scheme{iterations, func(password Password, ciphertext []byte) ([]byte, error) {
		const forKey, forIV = 1, 2
		key := derivePKCS12(sha1.New, forKey, password.BMP, salt, iterations, scheme.size)
		defer secret.Wipe(key)
		if scheme.block == nil {
			return rc4Decrypt(key, ciphertext)
		}
		iv := derivePKCS12(sha1.New, forIV, password.BMP, salt, iterations, des.BlockSize)
		return decryptCBC(scheme.block, key, iv, ciphertext)
	}}, nil
}

// twoKeys is triple DES whose third key is the first.
func twoKeys(key []byte) (cipher.Block, error) {
	whole := append(append([]byte(nil), key...), key[:8]...)
	defer secret.Wipe(whole)
	return des.NewTripleDESCipher(whole)
}

// saltAndCount reads pkcs-12PbeParams, RFC 7292, C.
func saltAndCount(parameters ber.Element) (salt []byte, iterations int, err error) {
	list, err := parameters.Elements(2)
	if err != nil || len(list) != 2 || !list[0].Is(ber.OctetString) {
		return nil, 0, fmt.Errorf("%w: its parameters are damaged", ErrUnsupported)
	}
	if salt, err = list[0].Octets(); err != nil {
		return nil, 0, err
	}
	iterations, err = count(list[1])
	return salt, iterations, errors.Join(err, boundsOf(len(salt)))
}

// derivePKCS12 is RFC 7292, B.2, for a purpose: 1 key, 2 IV, 3 MAC.
func derivePKCS12(newHash func() hash.Hash, purpose byte, password, salt []byte, iterations, size int) []byte {
	h := newHash()
	v := h.BlockSize()
	diversifier := make([]byte, v)
	for i := range diversifier {
		diversifier[i] = purpose
	}
	block := append(repeated(salt, v), repeated(password, v)...)
	defer secret.Wipe(block)
	var derived []byte
	for {
		h.Reset()
		h.Write(diversifier)
		h.Write(block)
		a := h.Sum(nil)
		for range iterations - 1 {
			h.Reset()
			h.Write(a)
			a = h.Sum(a[:0])
		}
		if derived = append(derived, a...); len(derived) >= size {
			return derived[:size]
		}
		addOne(block, repeated(a, v), v)
	}
}

// repeated fills whole blocks of v bytes with copies; nothing stays nothing.
func repeated(value []byte, v int) []byte {
	length := (len(value) + v - 1) / v * v
	filled := make([]byte, 0, length+len(value))
	for len(filled) < length {
		filled = append(filled, value...)
	}
	return filled[:length]
}

// addOne adds b + 1 to every block of v bytes, as numbers.
func addOne(block, b []byte, v int) {
	for start := 0; start < len(block); start += v {
		carry := 1
		for i := v - 1; i >= 0; i-- {
			carry += int(block[start+i]) + int(b[i])
			block[start+i] = byte(carry)
			carry >>= 8
		}
	}
}

// MAC is that of a PKCS#12 file (RFC 7292, 4; RFC 9579), whose parameters are in bounds.
type MAC struct {
	Iterations int

	sum func(password Password, message []byte) ([]byte, error)
	tag []byte
}

// ParseMAC reads MacData.
func ParseMAC(data ber.Element) (MAC, error) {
	const most = 3
	list, err := data.Elements(most)
	if err != nil || len(list) < 2 {
		return MAC{}, fmt.Errorf("%w: its MAC is damaged", ErrUnsupported)
	}
	digest, err := list[0].Elements(2)
	if err != nil || len(digest) != 2 {
		return MAC{}, fmt.Errorf("%w: its MAC is damaged", ErrUnsupported)
	}
	oid, parameters, err := split(digest[0])
	if err != nil {
		return MAC{}, err
	}
	mac := MAC{Iterations: 1}
	if mac.tag, err = digest[1].Octets(); err != nil {
		return MAC{}, err
	}
	if oid.String() == "1.2.840.113549.1.5.14" {
		return mac.withPBMAC1(parameters)
	}
	of := digestOf(oid)
	if of == 0 {
		return MAC{}, unknown(oid)
	}
	salt, err := list[1].Octets()
	if err != nil {
		return MAC{}, err
	}
	if len(list) == most {
		mac.Iterations, err = count(list[2])
	}
	if err = errors.Join(err, boundsOf(len(salt))); err != nil {
		return MAC{}, err
	}
	mac.sum = func(password Password, message []byte) ([]byte, error) {
		const forMAC = 3
		key := derivePKCS12(of.New, forMAC, password.BMP, salt, mac.Iterations, of.Size())
		defer secret.Wipe(key)
		h := hmac.New(of.New, key)
		h.Write(message)
		return h.Sum(nil), nil
	}
	return mac, nil
}

// digestOf is one that a MAC may be made with, 0 for others.
func digestOf(oid asn1.ObjectIdentifier) crypto.Hash {
	if oid.String() == "1.2.840.113549.2.5" {
		return crypto.MD5
	}
	return pubkey.DigestOf(oid)
}

// withPBMAC1 reads PBMAC1-params, RFC 8018, A.5.
func (m MAC) withPBMAC1(parameters ber.Element) (MAC, error) {
	const longest = 64 // bytes of a key
	list, err := parameters.Elements(2)
	if err != nil || len(list) != 2 {
		return m, fmt.Errorf("%w: its MAC is damaged", ErrUnsupported)
	}
	derive, iterations, length, err := parseKDF(list[0])
	if err != nil {
		return m, err
	}
	oid, _, err := split(list[1])
	if err != nil {
		return m, err
	}
	newHash := digestOfHMAC(oid)
	if newHash == nil {
		return m, unknown(oid)
	}
	if length < 1 || length > longest {
		return m, fmt.Errorf("%w: its MAC has a key of %d bytes", ErrUnsupported, length)
	}
	m.Iterations = iterations
	m.sum = func(password Password, message []byte) ([]byte, error) {
		key, err := derive(password, length)
		if err != nil {
			return nil, err
		}
		defer secret.Wipe(key)
		h := hmac.New(newHash, key)
		h.Write(message)
		return h.Sum(nil), nil
	}
	return m, nil
}

// Verify is nil if the MAC of message is the right one, else ErrPassword.
func (m MAC) Verify(ctx context.Context, password Password, message []byte) error {
	tag, err := input.Interruptible(ctx, func() ([]byte, error) { return m.sum(password, message) }, nil)
	if err == nil && !hmac.Equal(tag, m.tag) {
		err = ErrPassword
	}
	return err
}

// NewPassword encodes a password in UTF-8.
func NewPassword(text []byte) Password {
	runes := []rune(string(text))
	units := utf16.Encode(runes)
	p := Password{UTF8: append([]byte(nil), text...), BMP: make([]byte, 0, 2*len(units)+2)}
	for _, unit := range units {
		p.BMP = append(p.BMP, byte(unit>>8), byte(unit))
	}
	p.BMP = append(p.BMP, 0, 0)
	return p
}
