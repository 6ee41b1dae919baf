package csr

import (
	"bytes"
	"context"
	"crypto"
	"crypto/rand"
	"crypto/sha1"
	"crypto/x509"
	"encoding/asn1"
	"math/big"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
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
	algorithm, err := r.signatureAlgorithm(signer.Public())
	if err != nil {
		return nil, err
	}
	template, err := certificateTemplate(signer.Public(), r)
	if err != nil {
		return nil, err
	}
	template.SignatureAlgorithm = algorithm
	template.NotBefore, template.NotAfter = notBefore, notAfter
	once := &signOnce{ctx: ctx, Signer: signer}
	der, err := x509.CreateCertificate(rand.Reader, template, template, signer.Public(), once)
	if err != nil {
		return nil, once.explain(err)
	}
	if err := checkCertificate(der, template, signer.Public()); err != nil {
		return nil, err
	}
	return der, nil
}

func certificateTemplate(pub crypto.PublicKey, r Request) (*x509.Certificate, error) {
	subject, err := r.Subject.DER()
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "the subject cannot be encoded")
	}
	identifier, err := keyIdentifier(pub)
	if err != nil {
		return nil, problem.Wrap(problem.NotSupported, err, "the public key cannot be encoded")
	}
	serial := make([]byte, serialBytes)
	if _, err := rand.Read(serial); err != nil {
		return nil, err
	}
	serial[0] = serial[0]&0x7F | 0x40 // positive, and of the same length always
	return &x509.Certificate{
		RawSubject:            subject,
		SerialNumber:          new(big.Int).SetBytes(serial),
		SubjectKeyId:          identifier,
		AuthorityKeyId:        identifier,
		BasicConstraintsValid: true,
		ExtraExtensions:       r.Extensions,
	}, nil
}

// keyIdentifier is method 1 of RFC 5280, 4.2.1.2: SHA-1 of the public key
// without its algorithm.
func keyIdentifier(pub crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return nil, err
	}
	var info cryptobyte.String
	var bits asn1.BitString
	input := cryptobyte.String(der)
	if !input.ReadASN1(&info, cbasn1.SEQUENCE) || !info.SkipASN1(cbasn1.SEQUENCE) || !info.ReadASN1BitString(&bits) {
		return nil, asn1.StructuralError{Msg: "not a SubjectPublicKeyInfo"}
	}
	sum := sha1.Sum(bits.RightAlign())
	return sum[:], nil
}

// checkCertificate reads the certificate as a stranger does.
func checkCertificate(der []byte, template *x509.Certificate, pub crypto.PublicKey) error {
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return unsound("it cannot be read back", err)
	}
	// CheckSignatureFrom would want a CA, and this is none.
	if err := certificate.CheckSignature(certificate.SignatureAlgorithm, certificate.RawTBSCertificate, certificate.Signature); err != nil {
		return unsound("its signature does not verify", err)
	}
	if !bytes.Equal(certificate.RawIssuer, template.RawSubject) {
		return unsound("its issuer is a different one", nil)
	}
	return checkContent(certificate.RawSubject, template.RawSubject, certificate.PublicKey, pub, certificate.SignatureAlgorithm, template.SignatureAlgorithm)
}
