package keygen

import (
	"context"
	"crypto"
	"crypto/aes"
	"crypto/cipher"
	"crypto/des"
	"crypto/pbkdf2"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"hash"

	"golang.org/x/crypto/scrypt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// Bounds for what a file may ask of this machine.
const (
	maxIterations   = 10_000_000 // PBKDF2; programs use 2,048 to about a million
	maxScryptMemory = 1 << 29    // bytes
	maxScryptWork   = 1 << 30    // bytes mixed, over all lanes
)

// parseEncrypted reads an encrypted PKCS#8 key: PBES2 of RFC 8018, with PBKDF2
// or scrypt (RFC 7914), and AES or 3DES in CBC mode.
func parseEncrypted(ctx context.Context, encrypted encryptedPrivateKeyInfo, ask secret.Asker) (crypto.PrivateKey, error) {
	scheme, err := parsePBES2(encrypted.Algorithm)
	if err != nil {
		return nil, problem.Wrap(problem.NotSupported, err, "the encryption of the key is not supported").
			Advise(advice.Run("openssl", "pkcs8", "-topk8", "-in", "FILE", "-out", "key.pem"))
	}
	password, err := ask(ctx, passwordOf("the private key"))
	if err != nil {
		return nil, err
	}
	defer password.Wipe()
	der, err := scheme.decrypt(password.Reveal(), encrypted.EncryptedData)
	if err != nil {
		return nil, wrongPassword(err)
	}
	defer secret.Wipe(der[:cap(der)])
	private, err := parsePlain(der)
	if problem.Is(err, problem.Mismatch) {
		return nil, wrongPassword(err) // the padding was right by chance
	}
	return private, err
}

// pbes2 is an encryption scheme whose parameters are known and in bounds.
type pbes2 struct {
	derive  func(password []byte, length int) ([]byte, error)
	block   func(key []byte) (cipher.Block, error)
	keySize int
	iv      []byte
}

// decrypt returns the plaintext, without the padding of RFC 8018, B.2.
func (s pbes2) decrypt(password, ciphertext []byte) ([]byte, error) {
	derived, err := s.derive(password, s.keySize)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe(derived)
	block, err := s.block(derived)
	if err != nil {
		return nil, err
	}
	size := block.BlockSize()
	if len(ciphertext) == 0 || len(ciphertext)%size != 0 || len(s.iv) != size {
		return nil, errors.New("the encrypted data is not a whole number of blocks")
	}
	plaintext := make([]byte, len(ciphertext))
	cipher.NewCBCDecrypter(block, s.iv).CryptBlocks(plaintext, ciphertext)
	padding := int(plaintext[len(plaintext)-1])
	if padding == 0 || padding > size {
		secret.Wipe(plaintext)
		return nil, errors.New("the padding is wrong")
	}
	return plaintext[:len(plaintext)-padding], nil
}

// parsePBES2 reads PBES2-params, RFC 8018, A.4.
func parsePBES2(algorithm pkix.AlgorithmIdentifier) (pbes2, error) {
	const oidPBES2 = "1.2.840.113549.1.5.13"
	if algorithm.Algorithm.String() != oidPBES2 {
		return pbes2{}, unknownScheme(algorithm)
	}
	var params struct{ KDF, Scheme pkix.AlgorithmIdentifier }
	if err := unmarshal(algorithm, &params); err != nil {
		return pbes2{}, err
	}
	scheme, err := parseCipher(params.Scheme)
	if err != nil {
		return pbes2{}, err
	}
	scheme.derive, err = parseKDF(params.KDF)
	return scheme, err
}

func parseCipher(algorithm pkix.AlgorithmIdentifier) (pbes2, error) {
	scheme := pbes2{block: aes.NewCipher}
	switch algorithm.Algorithm.String() {
	case "2.16.840.1.101.3.4.1.2":
		scheme.keySize = 16
	case "2.16.840.1.101.3.4.1.22":
		scheme.keySize = 24
	case "2.16.840.1.101.3.4.1.42":
		scheme.keySize = 32
	case "1.2.840.113549.3.7":
		scheme.block, scheme.keySize = des.NewTripleDESCipher, 24
	default:
		return pbes2{}, unknownScheme(algorithm)
	}
	return scheme, unmarshal(algorithm, &scheme.iv)
}

func parseKDF(algorithm pkix.AlgorithmIdentifier) (func([]byte, int) ([]byte, error), error) {
	switch algorithm.Algorithm.String() {
	case "1.2.840.113549.1.5.12":
		return parsePBKDF2(algorithm)
	case "1.3.6.1.4.1.11591.4.11":
		return parseScrypt(algorithm)
	}
	return nil, unknownScheme(algorithm)
}

// parsePBKDF2 reads PBKDF2-params, RFC 8018, A.2.
func parsePBKDF2(algorithm pkix.AlgorithmIdentifier) (func([]byte, int) ([]byte, error), error) {
	var params struct {
		Salt       []byte
		Iterations int
		KeyLength  int                      `asn1:"optional"`
		PRF        pkix.AlgorithmIdentifier `asn1:"optional"`
	}
	if err := unmarshal(algorithm, &params); err != nil {
		return nil, err
	}
	if params.Iterations < 1 || params.Iterations > maxIterations {
		return nil, errors.New("the number of iterations is out of bounds")
	}
	var newHash func() hash.Hash
	switch params.PRF.Algorithm.String() {
	case "", "1.2.840.113549.2.7":
		newHash = sha1.New
	case "1.2.840.113549.2.8":
		newHash = sha256.New224
	case "1.2.840.113549.2.9":
		newHash = sha256.New
	case "1.2.840.113549.2.10":
		newHash = sha512.New384
	case "1.2.840.113549.2.11":
		newHash = sha512.New
	default:
		return nil, unknownScheme(params.PRF)
	}
	return func(password []byte, length int) ([]byte, error) {
		// The library wants a string, which cannot be wiped.
		return pbkdf2.Key(newHash, string(password), params.Salt, params.Iterations, length)
	}, nil
}

// parseScrypt reads scrypt-params, RFC 7914, 7.1.
func parseScrypt(algorithm pkix.AlgorithmIdentifier) (func([]byte, int) ([]byte, error), error) {
	var params struct {
		Salt      []byte
		N, R, P   int64
		KeyLength int `asn1:"optional"`
	}
	if err := unmarshal(algorithm, &params); err != nil {
		return nil, err
	}
	const small = 1 << 24 // keeps the products below in bounds
	n, r, p := params.N, params.R, params.P
	if n < 2 || n&(n-1) != 0 || r < 1 || p < 1 || n > small || r > small || p > small ||
		128*n*r > maxScryptMemory || 128*n*r > maxScryptWork/p {
		return nil, errors.New("the parameters of scrypt are out of bounds")
	}
	return func(password []byte, length int) ([]byte, error) {
		return scrypt.Key(password, params.Salt, int(n), int(r), int(p), length)
	}, nil
}

func unmarshal(algorithm pkix.AlgorithmIdentifier, into any) error {
	rest, err := asn1.Unmarshal(algorithm.Parameters.FullBytes, into)
	if err != nil || len(rest) > 0 {
		return unknownScheme(algorithm)
	}
	return nil
}

func unknownScheme(algorithm pkix.AlgorithmIdentifier) error {
	return fmt.Errorf("the OID of the scheme is %s", algorithm.Algorithm)
}
