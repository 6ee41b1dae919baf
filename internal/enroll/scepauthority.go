package enroll

import (
	"context"
	"encoding/asn1"
	"errors"
	"net/http"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/scep"
)

// authenticate gets the certificates of the CA and its RAs (RFC 8894, 4.2), and finds
// those that are believed.
func (i *scepCA) authenticate(ctx context.Context, o *Order) error {
	a, err := i.get(ctx, "GetCACert", i.address.Query.Get(scepIdentifier))
	if err != nil {
		return err
	}
	if a.status != http.StatusOK {
		return i.server.refusal(a, saidIn(a)).Advise(advice.Repeat(advice.Fill(advice.Issuer)))
	}
	came, err := scep.Authorities(a.body)
	if err != nil {
		return i.server.wrong("Its certificates cannot be read: %s.", scep.ErrDamaged)
	}
	roots := i.address.pinned(o, came)
	if !i.address.pins(o) { // TLS says who the server is
		roots = slices.DeleteFunc(slices.Clone(came), func(c *cert.Certificate) bool { return !c.IsCA })
	}
	var reason error = errors.New("none of its certificates has the fingerprint")
	for _, c := range came {
		err := i.mayServe(ctx, o, c, roots, came)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case err == nil:
			i.authorities = append(i.authorities, c)
		case len(roots) > 0:
			reason = err
		}
	}
	if len(i.authorities) == 0 {
		return problem.New(problem.Mismatch, "%s is not the CA that was named", i.address.URL.Host).
			Because("%s", problem.Sentence(reason.Error())).Advise(advice.Repeat(advice.Fill(advice.IssuerCA)))
	}
	if i.recipient = recipientOf(i.authorities); i.recipient == nil {
		return problem.New(problem.NotSupported, "the key of %s is not RSA", i.address.URL.Host).
			Because("SCEP encrypts requests to it.").Advise(advice.Repeat(advice.Fill(advice.Issuer)))
	}
	return nil
}

// mayServe reports why a certificate is not one of the CA or its RAs. Over HTTP, everybody
// whom the CA has certified could pass for an RA.
func (i *scepCA) mayServe(ctx context.Context, o *Order, c *cert.Certificate, roots, came []*cert.Certificate) error {
	if err := chainsTo(ctx, c, roots, came, o.Now()); err != nil {
		return err
	}
	if c.IsCA || i.address.URL.Scheme == "https" || slices.ContainsFunc(roots, c.Equal) || slices.ContainsFunc(c.ExtKeyUsage, isRegistrar) {
		return nil
	}
	return errors.New("its certificate is not that of a CA, and not for answers in its place")
}

// isRegistrar is an extended key usage of an RA: those of CMP, and Microsoft's Certificate
// Request Agent, which NDES has.
func isRegistrar(oid asn1.ObjectIdentifier) bool {
	return isForCMP(oid) || oid.String() == "1.3.6.1.4.1.311.20.2.1"
}

// recipientOf is the certificate to encrypt to: that of an RA, or else of the CA that
// issues, which comes below others; nil for none with an RSA key.
func recipientOf(authorities []*cert.Certificate) *cert.Certificate {
	fit := slices.DeleteFunc(slices.Clone(authorities), func(c *cert.Certificate) bool { return !pubkey.IsRSA(c.PublicKey) })
	for _, c := range fit {
		if !c.IsCA && (c.KeyUsage == 0 || c.KeyUsage&cert.KeyEncipherment != 0) {
			return c
		}
	}
	for _, c := range fit {
		issues := func(other *cert.Certificate) bool {
			return other.IsCA && !other.Equal(c) && other.Issuer.Matches(c.Subject) && chain.CheckSignature(other, c) == nil
		}
		if c.IsCA && !slices.ContainsFunc(fit, issues) {
			return c
		}
	}
	return nil
}
