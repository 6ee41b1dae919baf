package enroll

import (
	"context"
	"crypto/tls"
	"crypto/x509"
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
		if a.Fingerprint != nil && sameFingerprint(c.Raw, a.Fingerprint) {
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

// reach is the server of the address. Over TLS, its certificate chains to the CA with the
// fingerprint, if that is in its chain, or to those that count without one: the messages
// themselves are verified again.
func (a *Address) reach(o *Order) (*remote, error) {
	r, err := newRemote(a.URL, o.Roots)
	if err != nil || a.Fingerprint == nil {
		return r, err
	}
	roots := r.config.RootCAs
	r.config.InsecureSkipVerify = true // for VerifyConnection, which follows
	r.config.VerifyConnection = func(state tls.ConnectionState) error {
		err := verifyPinned(state, a.URL.Hostname(), a.Fingerprint, nil)
		if !errors.Is(err, errNotPinned) {
			return err
		}
		others := x509.NewCertPool()
		for _, c := range state.PeerCertificates[1:] {
			others.AddCert(c)
		}
		if _, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{DNSName: a.URL.Hostname(), Roots: roots, Intermediates: others}); err != nil {
			return unverified(state, err)
		}
		return nil
	}
	return r, nil
}
