// Package jose signs JSON Web Signatures (RFC 7515) with keys that may be on a card, opens
// keys that are encrypted under a password, and reads what tokens claim. What is signed,
// and for whom, is left to the protocols that use it.
package jose

import (
	"crypto"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/cryptosigner"
)

// ErrKey is a key that no algorithm of RFC 7518, 3.1 or RFC 8037 is for.
var ErrKey = errors.New("the key is not for JSON Web Signatures")

// Header are members of the protected header, besides alg (RFC 7515, 4.1).
type Header map[string]any

// Signed is a signature with what it signs.
type Signed struct{ jws *jose.JSONWebSignature }

// Compact is the compact serialization, 7.1.
func (s Signed) Compact() (string, error) { return s.jws.CompactSerialize() }

// JSON is the flattened JSON serialization, 7.2.2. The library leaves an empty payload out,
// which servers of ACME need.
func (s Signed) JSON() ([]byte, error) {
	compact, err := s.Compact()
	if err != nil {
		return nil, err
	}
	parts := strings.Split(compact, ".")
	return json.Marshal(map[string]string{"protected": parts[0], "payload": parts[1], "signature": parts[2]})
}

// Sign signs with a key: ES256, ES384, ES512, EdDSA, or RS256 (RFC 7518, 3.1; RFC 8037).
// An error of the signer is returned as it is.
func Sign(signer crypto.Signer, header Header, payload []byte) (Signed, error) {
	guarded := &reporting{Signer: signer}
	opaque := cryptosigner.Opaque(guarded)
	algorithms := opaque.Algs()
	if len(algorithms) == 0 {
		return Signed{}, ErrKey
	}
	signed, err := sign(jose.SigningKey{Algorithm: algorithms[0], Key: opaque}, header, payload)
	if guarded.err != nil {
		return Signed{}, guarded.err
	}
	return signed, err
}

// reporting keeps the error of a signer, which the library wraps in words of its own.
type reporting struct {
	crypto.Signer

	err error
}

// Sign is that of the signer.
func (r *reporting) Sign(random io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	signature, r.err = r.Signer.Sign(random, digest, opts)
	return signature, r.err
}

// MAC signs with a key that both sides have: HS256 (RFC 7518, 3.2), which takes at least
// 32 bytes.
func MAC(key []byte, header Header, payload []byte) (Signed, error) {
	const least = 32
	if len(key) < least {
		return Signed{}, fmt.Errorf("a key of %d bytes is too short for HS256: %w", len(key), ErrKey)
	}
	return sign(jose.SigningKey{Algorithm: jose.HS256, Key: key}, header, payload)
}

func sign(key jose.SigningKey, header Header, payload []byte) (Signed, error) {
	options := &jose.SignerOptions{}
	for name, value := range header {
		options.WithHeader(jose.HeaderKey(name), value)
	}
	signer, err := jose.NewSigner(key, options)
	if err != nil {
		return Signed{}, err
	}
	jws, err := signer.Sign(payload)
	return Signed{jws}, err
}

// PublicKey is a public key as a JSON Web Key (RFC 7517).
type PublicKey struct{ jwk jose.JSONWebKey }

// Public is that of a key.
func Public(public crypto.PublicKey) (PublicKey, error) {
	jwk := jose.JSONWebKey{Key: public}
	if !jwk.Valid() {
		return PublicKey{}, ErrKey
	}
	return PublicKey{jwk}, nil
}

// MarshalJSON is the key as JSON.
func (k PublicKey) MarshalJSON() ([]byte, error) { return k.jwk.MarshalJSON() }

// Thumbprint is the SHA-256 of the key in base64url (RFC 7638).
func (k PublicKey) Thumbprint() (string, error) {
	sum, err := k.jwk.Thumbprint(crypto.SHA256)
	return base64.RawURLEncoding.EncodeToString(sum), err
}
