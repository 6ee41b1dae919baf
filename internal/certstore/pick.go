package certstore

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// maxChain is how many issuers Pick follows.
const maxChain = 10

// Pick finds the certificate for the public key among several, the one issued
// last where there are more, and its issuers among the others, in order: each
// has signed the one before. None is a problem.Mismatch.
func Pick(certificates []*x509.Certificate, pub crypto.PublicKey) (leaf *x509.Certificate, issuers []*x509.Certificate, err error) {
	for _, c := range certificates {
		if pubkey.Same(publicKeyOf(c), pub) && (leaf == nil || c.NotBefore.After(leaf.NotBefore)) {
			leaf = c
		}
	}
	if leaf == nil {
		return nil, nil, noMatch(certificates, pub)
	}
	for last := leaf; len(issuers) < maxChain; {
		issuer := issuerOf(last, certificates)
		if issuer == nil {
			break
		}
		issuers = append(issuers, issuer)
		last = issuer
	}
	return leaf, issuers, nil
}

// issuerOf is nil for a certificate that is its own issuer.
func issuerOf(c *x509.Certificate, among []*x509.Certificate) *x509.Certificate {
	if bytes.Equal(c.RawIssuer, c.RawSubject) {
		return nil
	}
	for _, candidate := range among {
		if bytes.Equal(candidate.RawSubject, c.RawIssuer) &&
			candidate.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
			return candidate
		}
	}
	return nil
}

func noMatch(certificates []*x509.Certificate, pub crypto.PublicKey) error {
	const shown = 3
	var list []string
	for i, c := range certificates {
		if i == shown {
			list = append(list, "…")
			break
		}
		list = append(list, nameOf(c.RawSubject, c.Subject)+" ("+nameKey(publicKeyOf(c))+")")
	}
	what := "the certificate is not for the key on the card"
	why := "The key on the card is %s, the certificate is for %s."
	if len(certificates) != 1 {
		what = "none of the certificates is for the key on the card"
		why = "The key on the card is %s, the certificates are for %s."
	}
	return problem.New(problem.Mismatch, "%s", what).
		Because(why, nameKey(pub), strings.Join(list, ", ")).
		Advise(advice.Do(advice.ShowCard))
}
