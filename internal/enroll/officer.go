package enroll

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// withOfficer works with the key on the officer's card, which has a certificate.
func withOfficer(ctx context.Context, o *Order, work func(ctx context.Context, k key.Key, certificate []byte) error) error {
	err := family.WithKey(ctx, o.IssuerDesk, o.IssuerKey, ca.IssuersAccess(o.Access), func(ctx context.Context, _ family.At, k key.Key) error {
		certificate, err := authenticating(ctx, k)
		if err != nil {
			return err
		}
		return work(ctx, k, certificate)
	})
	return ca.IssuersAdvice(err, "the issuer's card")
}

// authenticating is the certificate of a key that authenticates.
func authenticating(ctx context.Context, k key.Key) ([]byte, error) {
	certificate, err := k.Certificate(ctx)
	if err == nil && len(certificate) == 0 {
		err = problem.New(problem.NotFound, "%s has no certificate that could authenticate", k.Reference()).Advise(advice.Do(advice.ShowCard))
	}
	return certificate, err
}
