package enroll

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/problem"
)

// pins reports whether a CA was named that the issuer has to be, or be certified by.
func (a *Address) pins(o *Order) bool { return len(o.Roots) > 0 || a.Fingerprint != nil }

// needsPin is the error where none was, and why one is needed.
func needsPin(why string) error {
	return problem.New(problem.Usage, "the CA of the issuer is not known").
		Because("%s", why).Advise(advice.Repeat(advice.Fill(advice.IssuerCA)))
}

// safely refuses an address of plain HTTP without a CA.
func (a *Address) safely(o *Order) error {
	if a.URL.Scheme == "http" && !a.pins(o) {
		return needsPin("Over HTTP, anybody in between can answer. The CA has to be named, or its fingerprint given.")
	}
	return nil
}

// pinned are the CAs that were named, and those of the certificates that came which the
// fingerprint is of.
func (a *Address) pinned(o *Order, came []*cert.Certificate) []*cert.Certificate {
	roots := o.Roots
	for _, c := range came {
		if sum := sha256.Sum256(c.Raw); a.Fingerprint != nil && bytes.Equal(sum[:], a.Fingerprint) {
			roots = append(roots[:len(roots):len(roots)], c)
		}
	}
	return roots
}

// chainsTo reports why a certificate of the issuer is none of the roots, and does not chain
// to them.
func chainsTo(ctx context.Context, c *cert.Certificate, roots, others []*cert.Certificate, now time.Time) error {
	if slices.ContainsFunc(roots, c.Equal) {
		if now.Before(c.NotBefore.Add(-clockSkew)) || now.After(c.NotAfter) {
			return errors.New("the certificate of the issuer is not valid now")
		}
		return nil
	}
	err := chain.Verify(ctx, c, chain.Options{Roots: roots, Others: others, At: now})
	var failure *chain.Failure
	if errors.As(err, &failure) {
		return errors.New("the certificate of the issuer does not chain to the CA: " + failure.Why)
	}
	return err
}
