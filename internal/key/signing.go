package key

import (
	"context"
	"crypto"
	"errors"

	"github.com/cardctl/cardctl/internal/problem"
)

// ErrCannotSign is a key that makes no signature here, whatever its digest and padding.
var ErrCannotSign = errors.New("the key cannot sign")

// CannotSign is the problem of such a key. Subject is what the key is called, as the
// beginning of a clause; why is a sentence.
func CannotSign(subject, why string) *problem.Error {
	p := problem.New(problem.NotSupported, "%s cannot sign", subject).Because("%s", why)
	p.Cause = ErrCannotSign
	return p
}

// Purposed is a key that was made for some uses, and does no others.
type Purposed interface {
	// Uses tells whether it decrypts, and derives shared secrets, if it is of a kind that does.
	Uses(ctx context.Context) (decrypts, derives bool, err error)
}

// Choosy is a signer that tells which signatures it makes.
type Choosy interface {
	crypto.Signer
	// Makes is nil for a signature that it makes, as far as this is known before the card
	// is asked for one, else the problem of it.
	Makes(opts crypto.SignerOpts) error
}

// Makes is Choosy.Makes of a signer; one that tells nothing makes all.
func Makes(signer crypto.Signer, opts crypto.SignerOpts) error {
	if choosy, ok := signer.(Choosy); ok {
		return choosy.Makes(opts)
	}
	return nil
}
