package enroll

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

// CheckIssuer refuses what is known to be wrong of an issuer before anybody is asked: its
// address, and the reference of the officer's key, empty for none.
func CheckIssuer(address, officersKey string) error {
	issuer, err := Open(address)
	if err != nil {
		return err
	}
	return officerOf(issuer, officersKey)
}

// officerOf refuses the card of an officer where it would not be used, and its lack.
func officerOf(i Issuer, officersKey string) error {
	switch traits := i.Traits(); {
	case officersKey != "" && !traits.Officer:
		return problem.New(problem.Usage, "the issuer is not reached with the card of an officer").
			Advise(advice.Repeat().Without(advice.IssuerKey))
	case officersKey == "" && traits.OfficerOnly:
		return problem.New(problem.Usage, "the issuer is reached with the card of an officer").
			Because("It asks for the TLS certificate of an officer of the registration authority.").
			Advise(advice.Repeat(advice.Fill(advice.IssuerKey)))
	}
	return nil
}

// withOfficer works with the key on the officer's card, which has a certificate.
func withOfficer(ctx context.Context, o *Order, work func(ctx context.Context, k key.Key, certificate []byte) error) error {
	err := o.Sittings.Officer(ctx, o.IssuerDesk.Meant, ca.IssuersAccess(o.Access), func(a desk.Access) error {
		return family.WithKey(ctx, o.IssuerDesk, o.IssuerKey, a, func(ctx context.Context, _ family.At, k key.Key) error {
			certificate, err := authenticating(ctx, k)
			if err != nil {
				return err
			}
			return work(ctx, k, certificate)
		})
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
