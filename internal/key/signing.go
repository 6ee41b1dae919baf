package key

import (
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
