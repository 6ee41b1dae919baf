package pbe

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/secret"
)

// What Seal uses: OWASP's number of iterations, which OpenSSL 1.1 and later read too.
const (
	sealIterations = 600_000
	sealSalt       = 16 // bytes
	sealKey        = 32 // bytes: AES-256
)

// Seal encrypts a plaintext under a password: PBES2 with PBKDF2, HMAC-SHA-256 and
// AES-256-CBC (RFC 8018, 6.2). It returns the AlgorithmIdentifier in DER beside the
// ciphertext. The plaintext is the caller's to wipe.
func Seal(ctx context.Context, password Password, plaintext []byte) (algorithm, ciphertext []byte, err error) {
	salt, iv := make([]byte, sealSalt), make([]byte, aes.BlockSize)
	_, _ = rand.Read(salt) // never fails
	_, _ = rand.Read(iv)
	key, err := input.Interruptible(ctx, func() ([]byte, error) {
		return pbkdf2.Key(sha256.New, string(password.UTF8), salt, sealIterations, sealKey)
	}, secret.Wipe)
	if err != nil {
		return nil, nil, err
	}
	defer secret.Wipe(key)
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, nil, err
	}
	pad := aes.BlockSize - len(plaintext)%aes.BlockSize // RFC 8018, 6.1.1
	padded := make([]byte, 0, len(plaintext)+pad)
	padded = append(append(padded, plaintext...), bytes.Repeat([]byte{byte(pad)}, pad)...)
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(padded, padded)
	return sealed(salt, iv), padded, nil
}

// sealed is the AlgorithmIdentifier of what Seal does (RFC 8018, A.4).
func sealed(salt, iv []byte) []byte {
	oid := func(b *cryptobyte.Builder, arcs ...int) { b.AddASN1ObjectIdentifier(arcs) }
	sequence := func(b *cryptobyte.Builder, content cryptobyte.BuilderContinuation) {
		b.AddASN1(cbasn1.SEQUENCE, content)
	}
	var b cryptobyte.Builder
	sequence(&b, func(b *cryptobyte.Builder) {
		oid(b, 1, 2, 840, 113549, 1, 5, 13) // id-PBES2
		sequence(b, func(b *cryptobyte.Builder) {
			sequence(b, func(b *cryptobyte.Builder) {
				oid(b, 1, 2, 840, 113549, 1, 5, 12) // id-PBKDF2
				sequence(b, func(b *cryptobyte.Builder) {
					b.AddASN1OctetString(salt)
					b.AddASN1Int64(sealIterations)
					sequence(b, func(b *cryptobyte.Builder) {
						oid(b, 1, 2, 840, 113549, 2, 9) // id-hmacWithSHA256
						b.AddASN1NULL()
					})
				})
			})
			sequence(b, func(b *cryptobyte.Builder) {
				oid(b, 2, 16, 840, 1, 101, 3, 4, 1, 42) // aes256-CBC
				b.AddASN1OctetString(iv)
			})
		})
	})
	return b.BytesOrPanic()
}
