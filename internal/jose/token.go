package jose

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/go-jose/go-jose/v4"
)

// ErrNoToken is text that is no signed token.
var ErrNoToken = errors.New("it is not a signed token")

// Claims reads what a JSON Web Token (RFC 7519) claims, into a struct. The signature is
// not verified: whoever is asked with the token does that.
func Claims(token string, into any) error {
	jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{
		jose.ES256, jose.ES384, jose.ES512, jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.EdDSA, jose.HS256,
	})
	if err != nil {
		return ErrNoToken
	}
	if err := json.Unmarshal(jws.UnsafePayloadWithoutVerification(), into); err != nil {
		return fmt.Errorf("its claims cannot be read: %w", ErrNoToken)
	}
	return nil
}
