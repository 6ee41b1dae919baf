package csr

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"slices"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// serialBytes is the length of a serial number: 128 bits less one, of the at
// most 20 octets of RFC 5280, 4.1.2.2.
const serialBytes = 16

// maxDays keeps the arithmetic in bounds: 8000 years.
const maxDays = 8000 * 366

// BuildSelfSigned makes an X.509 v3 end-entity certificate that its own key
// signs, valid from now for days of 24 hours, and checks it as Build checks a
// request. It has both key identifiers and basicConstraints, unless the
// request has its own.
func BuildSelfSigned(ctx context.Context, signer crypto.Signer, r Request, days int, now time.Time) ([]byte, error) {
	notBefore := now.UTC().Truncate(time.Second)
	notAfter := notBefore.AddDate(0, 0, min(days, maxDays))
	if days < 1 || days > maxDays || notAfter.Year() > 9999 {
		return nil, problem.New(problem.Usage, "a certificate cannot be valid for %d days", days).
			Because("A certificate is valid for at least one day, and its dates end with the year 9999.").
			Advise(advice.Repeat(advice.Set(advice.Days, "365")))
	}
	if r.Subject.Empty() {
		return nil, problem.New(problem.Usage, "a self-signed certificate needs a subject").
			Because("The certificate is its own issuer, and an issuer must have a name (RFC 5280, 4.1.2.4).").
			Advise(advice.Repeat(advice.Set(advice.Subject, "CN=Floppy Head")))
	}
	public := signer.Public()
	s, err := r.scheme(public)
	if err != nil {
		return nil, err
	}
	c := certificate{scheme: s, notBefore: notBefore, notAfter: notAfter}
	if c.subject, err = r.Subject.DER(); err != nil {
		return nil, problem.Wrap(problem.Usage, err, "the subject cannot be encoded")
	}
	if c.public, err = pubkey.Marshal(public); err != nil {
		return nil, problem.Wrap(problem.NotSupported, err, "the public key cannot be encoded")
	}
	content, err := c.tbs(r.Extensions)
	if err != nil {
		return nil, problem.Wrap(problem.Failed, err, "the certificate could not be created")
	}
	der, err := s.sign(ctx, signer, content)
	if err != nil {
		return nil, err
	}
	if err := c.check(der, public); err != nil {
		return nil, err
	}
	return der, nil
}

// certificate is what a self-signed certificate has besides its extensions.
type certificate struct {
	scheme              scheme
	subject, public     []byte // Name and SubjectPublicKeyInfo in DER
	notBefore, notAfter time.Time
}

// tbs is the TBSCertificate (RFC 5280, 4.1), with these extensions before those of the
// certificate itself.
func (c certificate) tbs(extensions []pkix.Extension) ([]byte, error) {
	const version3 = 2
	all, err := c.extensions(extensions)
	if err != nil {
		return nil, err
	}
	serial := make([]byte, serialBytes)
	if _, err := rand.Read(serial); err != nil {
		return nil, err
	}
	serial[0] = serial[0]&0x7F | 0x40 // positive, and of the same length always
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1Int64(version3) })
		b.AddASN1(cbasn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(serial) })
		c.scheme.identifier(b)
		b.AddBytes(c.subject) // the issuer
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addTime(b, c.notBefore)
			addTime(b, c.notAfter)
		})
		b.AddBytes(c.subject)
		b.AddBytes(c.public)
		b.AddASN1(cbasn1.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(all) })
	})
	return b.Bytes()
}

// addTime adds a Time (RFC 5280, 4.1.2.5).
func addTime(b *cryptobyte.Builder, t time.Time) {
	const generalizedFrom = 2050
	if t.Year() < generalizedFrom {
		b.AddASN1UTCTime(t)
		return
	}
	b.AddASN1GeneralizedTime(t)
}

// extensions encodes those of the request, then the key identifiers and basicConstraints
// that it does not have.
func (c certificate) extensions(asked []pkix.Extension) ([]byte, error) {
	identifier, err := keyIdentifier(c.public)
	if err != nil {
		return nil, err
	}
	subjectKey, err := asn1.Marshal(identifier)
	if err != nil {
		return nil, err
	}
	authority, err := asn1.Marshal(struct {
		ID []byte `asn1:"tag:0"`
	}{identifier})
	if err != nil {
		return nil, err
	}
	all := slices.Clone(asked)
	for _, own := range []pkix.Extension{
		{Id: cert.OIDBasicConstraints, Critical: true, Value: []byte{0x30, 0}}, // CA:FALSE
		{Id: cert.OIDSubjectKeyID, Value: subjectKey},
		{Id: cert.OIDAuthorityKeyID, Value: authority},
	} {
		if !slices.ContainsFunc(asked, func(e pkix.Extension) bool { return e.Id.Equal(own.Id) }) {
			all = append(all, own)
		}
	}
	return asn1.Marshal(all)
}

// keyIdentifier is method 1 of RFC 5280, 4.2.1.2: SHA-1 of the public key
// without its algorithm.
func keyIdentifier(public []byte) ([]byte, error) {
	var info cryptobyte.String
	var bits asn1.BitString
	input := cryptobyte.String(public)
	if !input.ReadASN1(&info, cbasn1.SEQUENCE) || !info.SkipASN1(cbasn1.SEQUENCE) || !info.ReadASN1BitString(&bits) {
		return nil, asn1.StructuralError{Msg: "not a SubjectPublicKeyInfo"}
	}
	sum := sha1.Sum(bits.RightAlign())
	return sum[:], nil
}

// check reads the certificate as a stranger does. What crypto/x509 cannot verify was
// verified when it was signed.
func (c certificate) check(der []byte, public crypto.PublicKey) error {
	if _, ok := public.(*pubkey.Other); ok {
		read, err := cert.Parse(der)
		switch {
		case err != nil:
			return unsound("it cannot be read back", err)
		case !bytes.Equal(read.RawSubject, c.subject) || !bytes.Equal(read.RawIssuer, c.subject):
			return unsound("its subject is a different one", nil)
		case !pubkey.Same(read.PublicKey, public):
			return unsound("its public key is not the one of the signing key", nil)
		}
		return nil
	}
	read, err := x509.ParseCertificate(der)
	if err != nil {
		return unsound("it cannot be read back", err)
	}
	// CheckSignatureFrom would want a CA, and this is none.
	if err := read.CheckSignature(read.SignatureAlgorithm, read.RawTBSCertificate, read.Signature); err != nil {
		return unsound("its signature does not verify", err)
	}
	if !bytes.Equal(read.RawIssuer, c.subject) {
		return unsound("its issuer is a different one", nil)
	}
	return checkContent(read.RawSubject, c.subject, read.PublicKey, public, read.SignatureAlgorithm, c.scheme.algorithm)
}
