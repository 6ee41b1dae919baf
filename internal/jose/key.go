package jose

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"

	"github.com/go-jose/go-jose/v4"

	"github.com/cardctl/cardctl/internal/secret"
)

// ErrPassword is a password that does not open a key, or a damaged key: nothing tells the
// two apart.
var ErrPassword = errors.New("the password does not open the key")

// OpenKey opens a private key that is encrypted under a password: a JSON Web Key in a JSON
// Web Encryption (RFC 7516) with PBES2 (RFC 7518, 4.8) of at most a million iterations.
// It returns the key with its identifier.
func OpenKey(encrypted string, password *secret.Bytes) (key crypto.Signer, kid string, err error) {
	jwe, err := jose.ParseEncryptedCompact(encrypted,
		[]jose.KeyAlgorithm{jose.PBES2_HS256_A128KW, jose.PBES2_HS384_A192KW, jose.PBES2_HS512_A256KW},
		[]jose.ContentEncryption{jose.A128GCM, jose.A192GCM, jose.A256GCM, jose.A128CBC_HS256, jose.A192CBC_HS384, jose.A256CBC_HS512})
	if err != nil {
		return nil, "", fmt.Errorf("the key is not encrypted with PBES2: %w", err)
	}
	plain, err := jwe.Decrypt(password.Reveal())
	if err != nil {
		return nil, "", ErrPassword
	}
	defer secret.Wipe(plain)
	var jwk jose.JSONWebKey
	if err := jwk.UnmarshalJSON(plain); err != nil {
		return nil, "", fmt.Errorf("what is encrypted is not a JSON Web Key: %w", ErrKey)
	}
	key, is := jwk.Key.(crypto.Signer)
	if !is {
		return nil, "", fmt.Errorf("what is encrypted is not a private key: %w", ErrKey)
	}
	return key, jwk.KeyID, nil
}

// DeriveKey makes a P-256 key out of a secret, always the same for the same purpose: 48
// bytes of HKDF with SHA-256 (RFC 5869), reduced to a scalar (FIPS 186-5, A.2.1).
func DeriveKey(from *secret.Bytes, purpose string) (*ecdsa.PrivateKey, error) {
	const extra = 16 // bytes above those of a scalar, so that all scalars are as likely
	order := elliptic.P256().Params().N
	size := (order.BitLen() + 7) / 8
	stream, err := hkdf.Key(sha256.New, from.Reveal(), nil, purpose, size+extra)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe(stream)
	scalar := new(big.Int).SetBytes(stream)
	scalar.Mod(scalar, new(big.Int).Sub(order, big.NewInt(1))).Add(scalar, big.NewInt(1))
	raw := scalar.FillBytes(make([]byte, size))
	defer secret.Wipe(raw)
	return ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
}
