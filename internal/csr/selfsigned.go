package csr

import (
	"context"
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// maxDays keeps the arithmetic in bounds: 8000 years.
const maxDays = 8000 * 366

// Validity are the dates of a certificate that is valid from now for days of 24 hours,
// in whole seconds (RFC 5280, 4.1.2.5). Other numbers of days are a problem.Usage.
func Validity(now time.Time, days int) (notBefore, notAfter time.Time, err error) {
	notBefore = now.UTC().Truncate(time.Second)
	notAfter = notBefore.AddDate(0, 0, min(days, maxDays))
	if days < 1 || days > maxDays || notAfter.Year() > 9999 {
		err = problem.New(problem.Usage, "a certificate cannot be valid for %d days", days).
			Because("A certificate is valid for at least one day, and its dates end with the year 9999.").
			Advise(advice.Repeat(advice.Set(advice.Days, "365")))
	}
	return notBefore, notAfter, err
}

// BuildSelfSigned makes an X.509 v3 end-entity certificate that its own key
// signs, valid from now for days of 24 hours, and checks it as Build checks a
// request. It has both key identifiers and basicConstraints, unless the
// request has its own.
func BuildSelfSigned(ctx context.Context, signer crypto.Signer, r Request, days int, now time.Time) ([]byte, error) {
	notBefore, notAfter, err := Validity(now, days)
	if err != nil {
		return nil, err
	}
	if r.Subject.Empty() {
		return nil, problem.New(problem.Usage, "a self-signed certificate needs a subject").
			Because("The certificate is its own issuer, and an issuer must have a name (RFC 5280, 4.1.2.4).").
			Advise(advice.Repeat(advice.Set(advice.Subject, "CN=Floppy Head")))
	}
	c := Certificate{NotBefore: notBefore, NotAfter: notAfter}
	if c.Subject, err = r.Subject.DER(); err != nil {
		return nil, problem.Wrap(problem.Usage, err, "the subject cannot be encoded")
	}
	if c.PublicKey, err = pubkey.Marshal(signer.Public()); err != nil {
		return nil, problem.Wrap(problem.NotSupported, err, "the public key cannot be encoded")
	}
	c.Issuer = c.Subject
	if c.Extensions, err = completed(r.Extensions, c.PublicKey); err != nil {
		return nil, problem.Wrap(problem.Failed, err, "the certificate could not be created")
	}
	return c.Sign(ctx, signer, Signature{Digest: r.Digest, PSS: r.PSS})
}

// completed are the extensions that a request has, then the key identifiers and
// basicConstraints that it does not have.
func completed(asked []pkix.Extension, public []byte) ([]pkix.Extension, error) {
	subjectKey, authorityKey, err := KeyIdentifiers(public, public)
	if err != nil {
		return nil, err
	}
	all := slices.Clone(asked)
	for _, own := range []pkix.Extension{
		{Id: cert.OIDBasicConstraints, Critical: true, Value: []byte{0x30, 0}}, // CA:FALSE
		subjectKey, authorityKey,
	} {
		if !slices.ContainsFunc(asked, func(e pkix.Extension) bool { return e.Id.Equal(own.Id) }) {
			all = append(all, own)
		}
	}
	return all, nil
}

// KeyIdentifiers are the extensions that name the key of a subject and that of its issuer
// (RFC 5280, 4.2.1.1 and 4.2.1.2), of their SubjectPublicKeyInfo in DER.
func KeyIdentifiers(subject, issuer []byte) (subjectKey, authorityKey pkix.Extension, err error) {
	own, err := KeyIdentifier(subject)
	if err != nil {
		return subjectKey, authorityKey, err
	}
	other, err := KeyIdentifier(issuer)
	if err != nil {
		return subjectKey, authorityKey, err
	}
	subjectKey.Id, authorityKey.Id = cert.OIDSubjectKeyID, cert.OIDAuthorityKeyID
	if subjectKey.Value, err = asn1.Marshal(own); err != nil {
		return subjectKey, authorityKey, err
	}
	authorityKey.Value, err = asn1.Marshal(struct {
		ID []byte `asn1:"tag:0"`
	}{other})
	return subjectKey, authorityKey, err
}
