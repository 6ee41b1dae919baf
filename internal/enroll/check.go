package enroll

import (
	"context"
	"encoding/asn1"
	"errors"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/problem"
)

// check is everything that can be wrong with what came: the key, the chain, the dates, the
// purpose, the names. What a person may still accept is remembered, anything else is not.
func (r *run) check(ctx context.Context, answer Answer) error {
	leaf, _, err := certstore.Pick(answer.Certificates, r.order.PublicKey)
	if err == nil {
		err = r.isUsable(ctx, leaf, answer)
	}
	if err != nil {
		return errors.Join(err, r.record.done())
	}
	differences, err := r.compareNames(leaf)
	if err != nil {
		return errors.Join(err, r.record.done())
	}
	r.unkept = r.record.came(answer) // which does no harm once it is on the card
	r.report.Differences = differences
	if len(differences) > 0 && !r.o.AcceptNames {
		return problem.New(problem.Mismatch, "the certificate has other names than were asked for").
			Because("%s", problem.Sentences(append(slices.Clone(differences), r.kept())...)).
			Advise(advice.Repeat(advice.Switch(advice.AcceptNames)))
	}
	return nil
}

// kept says whether what came is there for the next run.
func (r *run) kept() string {
	if r.unkept != nil {
		return "The certificate is lost, because it cannot be remembered."
	}
	return "The certificate is remembered."
}

// unfit is the error of a certificate that is not what was asked for.
func unfit(why string, args ...any) *problem.Error {
	return problem.New(problem.Mismatch, "the certificate is not the one that was asked for").Because(why, args...).
		Advise(advice.Repeat(advice.Switch(advice.DryRun)))
}

func (r *run) isUsable(ctx context.Context, leaf *cert.Certificate, answer Answer) error {
	now := r.o.Now
	switch {
	case leaf.IsCA:
		return unfit("It is that of a CA.")
	case now.Before(leaf.NotBefore.Add(-clockSkew)):
		return unfit("It is not valid before %s.", leaf.NotBefore.UTC().Format(time.RFC3339))
	case now.After(leaf.NotAfter):
		return unfit("It expired on %s.", leaf.NotAfter.UTC().Format(time.RFC3339))
	case r.o.Days > 0 && leaf.NotAfter.After(now.AddDate(0, 0, r.o.Days+1)):
		return unfit("It is valid until %s, longer than %d days.", leaf.NotAfter.UTC().Format(time.RFC3339), r.o.Days)
	}
	if err := r.hasPurpose(leaf); err != nil {
		return err
	}
	for _, roots := range [][]*cert.Certificate{r.o.Roots, answer.Roots} {
		if len(roots) == 0 {
			continue
		}
		err := chain.Verify(ctx, leaf, chain.Options{Roots: roots, Others: answer.Certificates, At: later(now, leaf.NotBefore)})
		var failure *chain.Failure
		switch {
		case errors.As(err, &failure):
			return unfit("It does not chain to the issuer: %s.", failure.Why)
		case err != nil:
			return err
		}
	}
	return nil
}

// clockSkew is how far the clocks of issuers may be ahead.
const clockSkew = 5 * time.Minute

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}

// hasPurpose refuses a certificate that lacks an extended key usage which was asked for;
// one without the extension has all (RFC 5280, 4.2.1.12).
func (r *run) hasPurpose(leaf *cert.Certificate) error {
	anyPurpose := asn1.ObjectIdentifier{2, 5, 29, 37, 0}
	contains := func(oid asn1.ObjectIdentifier) bool { return slices.ContainsFunc(leaf.ExtKeyUsage, oid.Equal) }
	if _, has := leaf.Extension(cert.OIDExtKeyUsage); !has || contains(anyPurpose) {
		return nil
	}
	wanted, err := r.order.purposes()
	if err != nil {
		return err
	}
	for _, oid := range wanted {
		if !contains(oid) {
			return unfit("It lacks the extended key usage %s.", oid)
		}
	}
	return nil
}
