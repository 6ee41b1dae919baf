// Package pbe opens what is encrypted under a password: PBES2 of RFC 8018 with PBKDF2 or
// scrypt, and the older schemes of PKCS#12 (RFC 7292, B and C). What a file may ask of
// this machine is bounded before work begins, and work ends with its context. What is
// encrypted is left to packages keygen and pkcs12.
package pbe

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/rc4"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/scrypt"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/secret"
)

// Bounds for what a file may ask of this machine.
const (
	MaxIterations   = 2_000_000 // programs use 2,048 to about a million
	maxScryptMemory = 1 << 25   // bytes
	maxScryptWork   = 1 << 30   // bytes mixed, over all lanes
	maxSalt         = 1 << 10   // bytes
)

// ErrUnsupported is a scheme that is not known here, ErrBounds one that asks for too much
// work, ErrPassword a password that does not open what is encrypted, or damaged data:
// nothing tells the two apart.
var (
	ErrUnsupported = errors.New("the encryption is not supported")
	ErrBounds      = errors.New("the encryption asks for too much work")
	ErrPassword    = errors.New("the password is wrong, or the data is damaged")
)

// Password is one in the two encodings that schemes use.
type Password struct {
	UTF8 []byte
	// BMP is RFC 7292, B.1: UTF-16, big-endian, with a zero at the end.
	BMP []byte
}

// Wipe overwrites it.
func (p Password) Wipe() {
	secret.Wipe(p.UTF8)
	secret.Wipe(p.BMP)
}

// Scheme is an encryption scheme whose parameters are known and in bounds.
type Scheme struct {
	// Iterations is how often the password is hashed, 0 for scrypt, which has bounds of
	// its own.
	Iterations int

	open func(password Password, ciphertext []byte) ([]byte, error)
}

// Decrypt returns the plaintext, without the padding of RFC 8018, B.2. A context that
// ends is obeyed at once; the work then ends behind it.
func (s Scheme) Decrypt(ctx context.Context, password Password, ciphertext []byte) ([]byte, error) {
	return input.Interruptible(ctx, func() ([]byte, error) { return s.open(password, ciphertext) }, secret.Wipe)
}

// derivation makes a key of a number of bytes from a password.
type derivation func(password Password, length int) ([]byte, error)

// Parse reads the AlgorithmIdentifier of an encryption, in DER or BER.
func Parse(algorithm ber.Element) (Scheme, error) {
	oid, parameters, err := split(algorithm)
	if err != nil {
		return Scheme{}, err
	}
	if oid.String() == "1.2.840.113549.1.5.13" {
		return parsePBES2(parameters)
	}
	return parsePKCS12(oid, parameters)
}

// split reads an AlgorithmIdentifier (RFC 5280, 4.1.1.2).
func split(algorithm ber.Element) (oid asn1.ObjectIdentifier, parameters ber.Element, err error) {
	if oid, parameters, err = algorithm.Algorithm(); err != nil {
		return nil, ber.Element{}, fmt.Errorf("%w: it is damaged", ErrUnsupported)
	}
	return oid, parameters, nil
}

func unknown(oid asn1.ObjectIdentifier) error {
	return fmt.Errorf("%w: the OID of the scheme is %s", ErrUnsupported, oid)
}

// parsePBES2 reads PBES2-params, RFC 8018, A.4.
func parsePBES2(parameters ber.Element) (Scheme, error) {
	list, err := parameters.Elements(2)
	if err != nil || len(list) != 2 {
		return Scheme{}, fmt.Errorf("%w: its parameters are damaged", ErrUnsupported)
	}
	derive, iterations, _, err := parseKDF(list[0])
	if err != nil {
		return Scheme{}, err
	}
	oid, iv, err := split(list[1])
	if err != nil {
		return Scheme{}, err
	}
	block, size := aes.NewCipher, 0
	switch oid.String() {
	case "2.16.840.1.101.3.4.1.2":
		size = 16
	case "2.16.840.1.101.3.4.1.22":
		size = 24
	case "2.16.840.1.101.3.4.1.42":
		size = 32
	case "1.2.840.113549.3.7":
		block, size = des.NewTripleDESCipher, 24
	default:
		return Scheme{}, unknown(oid)
	}
	vector, err := iv.Octets()
	if err != nil || !iv.Is(ber.OctetString) {
		return Scheme{}, unknown(oid)
	}
	return Scheme{iterations, func(password Password, ciphertext []byte) ([]byte, error) {
		key, err := derive(password, size)
		if err != nil {
			return nil, err
		}
		defer secret.Wipe(key)
		return decryptCBC(block, key, vector, ciphertext)
	}}, nil
}

func decryptCBC(newBlock func([]byte) (cipher.Block, error), key, iv, ciphertext []byte) ([]byte, error) {
	block, err := newBlock(key)
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(ciphertext) == 0 || len(ciphertext)%size != 0 || len(iv) != size {
		return nil, ErrPassword
	}
	plaintext := make([]byte, len(ciphertext))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plaintext, ciphertext)
	padding := int(plaintext[len(plaintext)-1])
	if padding == 0 || padding > size {
		secret.Wipe(plaintext)
		return nil, ErrPassword
	}
	return plaintext[:len(plaintext)-padding], nil
}

// parseKDF reads a key derivation function; length is the one that it names, 0 if none.
func parseKDF(algorithm ber.Element) (derive derivation, iterations, length int, err error) {
	oid, parameters, err := split(algorithm)
	if err != nil {
		return nil, 0, 0, err
	}
	switch oid.String() {
	case "1.2.840.113549.1.5.12":
		return parsePBKDF2(parameters)
	case "1.3.6.1.4.1.11591.4.11":
		derive, err = parseScrypt(parameters)
		return derive, 0, 0, err
	}
	return nil, 0, 0, unknown(oid)
}

// parsePBKDF2 reads PBKDF2-params, RFC 8018, A.2.
func parsePBKDF2(parameters ber.Element) (derive derivation, iterations, length int, err error) {
	const most = 4
	list, err := parameters.Elements(most)
	if err != nil || len(list) < 2 || !list[0].Is(ber.OctetString) {
		return nil, 0, 0, fmt.Errorf("%w: the parameters of PBKDF2 are damaged", ErrUnsupported)
	}
	salt, err := list[0].Octets()
	if err != nil {
		return nil, 0, 0, err
	}
	if iterations, err = count(list[1]); err != nil || len(salt) > maxSalt {
		return nil, 0, 0, errors.Join(err, boundsOf(len(salt)))
	}
	newHash := sha1.New
	for _, part := range list[2:] {
		if part.Is(ber.Integer) {
			length = part.SmallInt()
			continue
		}
		prf, _, err := split(part)
		if err != nil {
			return nil, 0, 0, err
		}
		if newHash = digestOfHMAC(prf); newHash == nil {
			return nil, 0, 0, unknown(prf)
		}
	}
	return func(password Password, length int) ([]byte, error) {
		// The library wants a string, which cannot be wiped.
		return pbkdf2.Key(newHash, string(password.UTF8), salt, iterations, length)
	}, iterations, length, nil
}

func boundsOf(salt int) error {
	if salt > maxSalt {
		return ErrBounds
	}
	return nil
}

// count reads a number of iterations.
func count(e ber.Element) (int, error) {
	n, err := e.Int()
	switch {
	case err != nil || n.Sign() <= 0:
		return 0, fmt.Errorf("%w: its number of iterations is not one", ErrUnsupported)
	case !n.IsInt64() || n.Int64() > MaxIterations:
		return 0, fmt.Errorf("%w: %d iterations are the most", ErrBounds, MaxIterations)
	}
	return int(n.Int64()), nil
}

// digestOfHMAC is the digest of an HMAC by its OID (RFC 8018, B.1.2); nil if unknown.
func digestOfHMAC(oid asn1.ObjectIdentifier) func() hash.Hash {
	return map[string]func() hash.Hash{
		"1.2.840.113549.2.7":  sha1.New,
		"1.2.840.113549.2.8":  sha256.New224,
		"1.2.840.113549.2.9":  sha256.New,
		"1.2.840.113549.2.10": sha512.New384,
		"1.2.840.113549.2.11": sha512.New,
		"1.2.840.113549.2.12": sha512.New512_224,
		"1.2.840.113549.2.13": sha512.New512_256,
	}[oid.String()]
}

// parseScrypt reads scrypt-params, RFC 7914, 7.1.
func parseScrypt(parameters ber.Element) (derivation, error) {
	const fewest, most = 4, 5
	list, err := parameters.Elements(most)
	if err != nil || len(list) < fewest || !list[0].Is(ber.OctetString) {
		return nil, fmt.Errorf("%w: the parameters of scrypt are damaged", ErrUnsupported)
	}
	salt, err := list[0].Octets()
	if err != nil {
		return nil, err
	}
	const small = 1 << 24 // keeps the products below in bounds
	n, r, p := int64(list[1].SmallInt()), int64(list[2].SmallInt()), int64(list[3].SmallInt())
	if n < 2 || n&(n-1) != 0 || r < 1 || p < 1 || n > small || r > small || p > small ||
		128*n*r > maxScryptMemory || 128*n*r > maxScryptWork/p || len(salt) > maxSalt {
		return nil, fmt.Errorf("%w: the parameters of scrypt are out of bounds", ErrBounds)
	}
	return func(password Password, length int) ([]byte, error) {
		return scrypt.Key(password.UTF8, salt, int(n), int(r), int(p), length)
	}, nil
}

// rc4Decrypt is the stream cipher of RFC 7292, C.
func rc4Decrypt(key, ciphertext []byte) ([]byte, error) {
	stream, err := rc4.NewCipher(key)
	if err != nil {
		return nil, err
	}
	plaintext := make([]byte, len(ciphertext))
	stream.XORKeyStream(plaintext, ciphertext)
	return plaintext, nil
}
