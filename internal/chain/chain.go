// Package chain verifies that a certificate chains to a CA, RFC 5280, 6. Go's
// crypto/x509 does it where it can. Where it refuses, a second way is tried for what it
// does not know, and the reason that is reported is the true one. Reading certificates
// is left to package cert, the words for a user to certstore.
package chain

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
)

// Options are what a certificate is verified against.
type Options struct {
	// Roots are the CAs that are trusted, Others may be on the way to them.
	Roots, Others []*cert.Certificate
	// At is when all certificates of the chain have to be valid.
	At time.Time
	// Unmarked may issue the leaf although it has no basicConstraints, as the
	// attestation certificates of some cards; nil for none.
	Unmarked *cert.Certificate
}

// Failure is why a certificate does not chain to a root.
type Failure struct {
	// Of is the certificate that is the reason.
	Of *cert.Certificate
	// Why is a sentence about it without its end.
	Why string
	// NoIssuer says that no certificate with the name and the key of the issuer was
	// given.
	NoIssuer bool
}

func (f *Failure) Error() string { return f.Why }

// Limits for what files may ask of this machine.
const (
	maxPath       = 12
	maxSignatures = 100
)

// Verify is nil if leaf chains to one of the roots, else a *Failure or the error of the
// context. A root counts whoever signed it. The leaf itself counts only if it signed
// itself.
func Verify(ctx context.Context, leaf *cert.Certificate, o Options) error {
	if SelfSigned(leaf) && slices.ContainsFunc(o.Roots, leaf.Equal) {
		return datesOf(leaf, o.At)
	}
	o.Roots = slices.DeleteFunc(slices.Clone(o.Roots), leaf.Equal)
	o.Others = slices.DeleteFunc(slices.Clone(o.Others), leaf.Equal)
	if !constrained(o) && standard(leaf, o) {
		return nil
	}
	b := builder{ctx: ctx, o: o, signatures: maxSignatures}
	if b.build([]*cert.Certificate{leaf}) {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return b.failure
}

// SelfSigned reports whether a certificate names itself as its issuer and its own key
// signed it, as far as that can be checked.
func SelfSigned(c *cert.Certificate) bool {
	return c.Issuer.Matches(c.Subject) && CheckSignature(c, c) == nil
}

// mostForStandard is how many certificates crypto/x509 is given: it has limits of its
// own for signatures, but compares names first.
const mostForStandard = 1000

// constrained reports whether a certificate limits the names of others: crypto/x509 takes
// a host for all below it too, and does not compare directories and addresses in a subject.
func constrained(o Options) bool {
	return slices.ContainsFunc(slices.Concat(o.Roots, o.Others), func(c *cert.Certificate) bool {
		_, there := c.Extension(cert.OIDNameConstraints)
		return there
	})
}

// standard asks crypto/x509.
func standard(leaf *cert.Certificate, o Options) bool {
	strict := leaf.Standard()
	if strict == nil || len(o.Roots)+len(o.Others) > mostForStandard {
		return false
	}
	options := x509.VerifyOptions{
		Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(),
		KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: o.At,
	}
	for _, c := range o.Roots {
		if root := c.Standard(); root != nil {
			options.Roots.AddCert(root)
		}
	}
	for _, c := range o.Others {
		if other := c.Standard(); other != nil {
			options.Intermediates.AddCert(other)
		}
	}
	_, err := strict.Verify(options)
	return err == nil
}

// builder looks for a way from the leaf to a root.
type builder struct {
	ctx        context.Context
	o          Options
	signatures int // how many may still be checked
	failure    *Failure
	depth      int // of the failure
}

// fail notes why a path ends. The longest one says most, and a reason says more than a
// missing issuer.
func (b *builder) fail(path []*cert.Certificate, f Failure) {
	if b.failure == nil || len(path) > b.depth || len(path) == b.depth && b.failure.NoIssuer && !f.NoIssuer {
		b.failure, b.depth = &f, len(path)
	}
}

// build goes on from the last certificate of a path.
func (b *builder) build(path []*cert.Certificate) bool {
	last := path[len(path)-1]
	if len(path) == 1 {
		if f := b.usable(last); f != nil {
			b.fail(path, *f)
			return false
		}
	}
	found := false
	for _, root := range []bool{true, false} {
		among := b.o.Others
		if root {
			among = b.o.Roots
		}
		for _, candidate := range among {
			if b.ctx.Err() != nil {
				return false
			}
			if !candidate.Subject.Matches(last.Issuer) || slices.ContainsFunc(path, candidate.Equal) || len(path) == maxPath {
				continue
			}
			signed, done := b.try(path, candidate, root)
			if found = found || signed; done {
				return true
			}
		}
	}
	if !found {
		b.fail(path, Failure{Of: last, NoIssuer: true, Why: fmt.Sprintf("none of the given certificates is the issuer of %s", last.Subject)})
	}
	return false
}

// try takes a candidate with the name of the issuer; signed is false for one that has
// another key.
func (b *builder) try(path []*cert.Certificate, candidate *cert.Certificate, root bool) (signed, done bool) {
	last := path[len(path)-1]
	if b.signatures--; b.signatures < 0 {
		b.fail(path, Failure{Of: last, Why: fmt.Sprintf("too many of the given certificates are called %s", candidate.Subject)})
		return true, false
	}
	err := CheckSignature(last, candidate)
	var unchecked Unchecked
	var weak Weak
	switch {
	case errors.As(err, &unchecked):
		b.fail(path, Failure{Of: last, Why: fmt.Sprintf("the signature of %s on %s cannot be checked here: %s", candidate.Subject, last.Subject, unchecked.What)})
		return true, false
	case errors.As(err, &weak):
		b.fail(path, Failure{Of: last, Why: fmt.Sprintf("%s is signed with %s, which is not secure", last.Subject, weak.What)})
		return true, false
	case err != nil:
		return false, false
	}
	longer := append(slices.Clone(path), candidate)
	unmarked := b.o.Unmarked != nil && len(path) == 1 && candidate.Equal(b.o.Unmarked)
	for _, f := range []*Failure{b.usable(candidate), mayIssue(candidate, len(path)-1-selfIssued(path), unmarked), constraints(longer)} {
		if f != nil {
			b.fail(longer, *f)
			return true, false
		}
	}
	return true, root || b.build(longer)
}

// selfIssued counts certificates of a path after its leaf that a CA issued to itself,
// which do not count for a path length (RFC 5280, 4.2.1.9).
func selfIssued(path []*cert.Certificate) int {
	count := 0
	for _, c := range path[1:] {
		if c.Subject.Matches(c.Issuer) {
			count++
		}
	}
	return count
}

// mayIssue is RFC 5280, 6.1.4, k to n, for a CA with so many others below it; one that is
// unmarked does not need basicConstraints.
func mayIssue(c *cert.Certificate, below int, unmarked bool) *Failure {
	why := ""
	switch {
	case c.Version == 3 && !c.BasicConstraintsValid && !unmarked:
		why = "%s is not a CA certificate, because it has no basicConstraints"
	case c.BasicConstraintsValid && !c.IsCA:
		why = "%s is not a CA certificate (CA:FALSE)"
	case c.KeyUsage != 0 && c.KeyUsage&cert.KeyCertSign == 0:
		why = "%s may not sign certificates, because its keyUsage does not have keyCertSign"
	case c.MaxPathLen >= 0 && below > c.MaxPathLen:
		why = "%s may not be so far above the certificate (pathLenConstraint)"
	default:
		return nil
	}
	return &Failure{Of: c, Why: fmt.Sprintf(why, c.Subject)}
}

// usable checks what every certificate of a chain needs.
func (b *builder) usable(c *cert.Certificate) *Failure {
	if err := datesOf(c, b.o.At); err != nil {
		var f *Failure
		errors.As(err, &f)
		return f
	}
	for _, x := range c.Extensions {
		if x.Critical && !slices.Contains(understood(), x.ID.String()) {
			return &Failure{Of: c, Why: fmt.Sprintf("%s has the critical extension %s, which cannot be checked here", c.Subject, x.ID)}
		}
	}
	return nil
}

// understood are the extensions that may be critical: those that are checked, and those
// about policies, which nobody asked for.
func understood() []string {
	return []string{
		cert.OIDSubjectKeyID.String(), cert.OIDKeyUsage.String(), cert.OIDSubjectAltName.String(), cert.OIDBasicConstraints.String(),
		cert.OIDNameConstraints.String(), cert.OIDAuthorityKeyID.String(), cert.OIDExtKeyUsage.String(),
		"2.5.29.32", "2.5.29.33", "2.5.29.36", "2.5.29.54",
	}
}

func datesOf(c *cert.Certificate, at time.Time) error {
	switch {
	case at.After(c.NotAfter):
		return &Failure{Of: c, Why: fmt.Sprintf("%s expired on %s", c.Subject, c.NotAfter.Format(time.RFC3339))}
	case at.Before(c.NotBefore):
		return &Failure{Of: c, Why: fmt.Sprintf("%s is not valid before %s", c.Subject, c.NotBefore.Format(time.RFC3339))}
	}
	return nil
}

// Issuers are the certificates above leaf, in order: each has signed the one before. If
// a signature cannot be checked here, the name decides. A certificate that is its own
// issuer ends the list.
func Issuers(leaf *cert.Certificate, among []*cert.Certificate, limit int) []*cert.Certificate {
	var issuers []*cert.Certificate
	for last := leaf; len(issuers) < limit && !last.Issuer.Matches(last.Subject); {
		issuer := issuerOf(last, among)
		if issuer == nil || slices.ContainsFunc(issuers, issuer.Equal) {
			break
		}
		issuers = append(issuers, issuer)
		last = issuer
	}
	return issuers
}

// issuerOf prefers a certificate whose key is known to have signed c. One whose key
// certainly did not is not its issuer.
func issuerOf(c *cert.Certificate, among []*cert.Certificate) *cert.Certificate {
	var likely *cert.Certificate
	checks := maxSignatures
	for _, candidate := range among {
		if !candidate.Subject.Matches(c.Issuer) || candidate.Equal(c) {
			continue
		}
		if checks--; checks < 0 {
			break
		}
		switch err := CheckSignature(c, candidate); {
		case err == nil:
			return candidate
		case !errors.Is(err, ErrWrong) && likely == nil:
			likely = candidate
		}
	}
	return likely
}
