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
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Certificate is a certificate of X.509 v3 that is to be signed (RFC 5280, 4.1).
type Certificate struct {
	// Serial is the magnitude of the serial number, of up to 20 bytes; nil for a random one.
	Serial []byte
	// Issuer and Subject are Names in DER, PublicKey a SubjectPublicKeyInfo.
	Issuer, Subject, PublicKey []byte
	NotBefore, NotAfter        time.Time
	Extensions                 []pkix.Extension
}

// Signature is how something is signed.
type Signature struct {
	// Digest is 0 for the one that suits the key.
	Digest crypto.Hash
	// PSS signs with RSASSA-PSS, the salt as long as the digest.
	PSS bool
}

// serialBytes is the length of a serial number, the most of RFC 5280, 4.1.2.2.
const serialBytes = 20

// NewSerial is a random serial number: positive, of 159 bits, of the same length always,
// and even. The name of an answer of OCSP is base64 that ends with it (RFC 5019, 5): with
// six ones at the end it would end with a slash, and no file can have that name.
func NewSerial() []byte {
	serial := make([]byte, serialBytes)
	_, _ = rand.Read(serial) // never fails
	serial[0] = serial[0]&0x7F | 0x40
	serial[serialBytes-1] &^= 1
	return serial
}

// Sign has the issuer's key sign the certificate, in DER, which has been read again and
// compared.
func (c Certificate) Sign(ctx context.Context, signer crypto.Signer, as Signature) ([]byte, error) {
	s, err := Request{Digest: as.Digest, PSS: as.PSS}.scheme(signer.Public())
	if err != nil {
		return nil, err
	}
	if c.Serial == nil {
		c.Serial = NewSerial()
	}
	content, err := c.tbs(s)
	if err != nil {
		return nil, problem.Wrap(problem.Failed, err, "the certificate could not be created")
	}
	der, err := s.sign(ctx, signer, content)
	if err != nil {
		return nil, err
	}
	if err := c.check(der, signer.Public(), s.algorithm); err != nil {
		return nil, err
	}
	return der, nil
}

// tbs is the TBSCertificate (RFC 5280, 4.1).
func (c Certificate) tbs(s scheme) ([]byte, error) {
	const version3 = 2
	extensions, err := asn1.Marshal(c.Extensions)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.Tag(0).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddASN1Int64(version3) })
		b.AddASN1(cbasn1.INTEGER, func(b *cryptobyte.Builder) { b.AddBytes(c.Serial) })
		s.identifier(b)
		b.AddBytes(c.Issuer)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			addTime(b, c.NotBefore)
			addTime(b, c.NotAfter)
		})
		b.AddBytes(c.Subject)
		b.AddBytes(c.PublicKey)
		b.AddASN1(cbasn1.Tag(3).ContextSpecific().Constructed(), func(b *cryptobyte.Builder) { b.AddBytes(extensions) })
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

// KeyIdentifier is method 1 of RFC 5280, 4.2.1.2: SHA-1 of the public key
// without its algorithm.
func KeyIdentifier(public []byte) ([]byte, error) {
	bits, err := KeyBits(public)
	sum := sha1.Sum(bits)
	return sum[:], err
}

// KeyBits is the public key of a SubjectPublicKeyInfo, without its algorithm.
func KeyBits(public []byte) ([]byte, error) {
	var info cryptobyte.String
	var bits asn1.BitString
	input := cryptobyte.String(public)
	if !input.ReadASN1(&info, cbasn1.SEQUENCE) || !info.SkipASN1(cbasn1.SEQUENCE) || !info.ReadASN1BitString(&bits) {
		return nil, asn1.StructuralError{Msg: "not a SubjectPublicKeyInfo"}
	}
	return bits.RightAlign(), nil
}

// check reads the certificate as a stranger does. What crypto/x509 cannot verify was
// verified when it was signed.
func (c Certificate) check(der []byte, issuer crypto.PublicKey, algorithm x509.SignatureAlgorithm) error {
	read, err := cert.Parse(der)
	if err != nil {
		return unsound("it cannot be read back", err)
	}
	subject, err := pubkey.Parse(c.PublicKey)
	switch {
	case err != nil:
		return unsound("its public key cannot be read back", err)
	case !bytes.Equal(read.RawSubject, c.Subject):
		return unsound("its subject is a different one", nil)
	case !bytes.Equal(read.RawIssuer, c.Issuer):
		return unsound("its issuer is a different one", nil)
	case !pubkey.Same(read.PublicKey, subject):
		return unsound("its public key is a different one", nil)
	}
	if _, other := issuer.(*pubkey.Other); other {
		return nil
	}
	// CheckSignatureFrom would want a CA, and the issuer of a self-signed one is none.
	signed := x509.Certificate{PublicKey: issuer}
	if err := signed.CheckSignature(algorithm, read.RawTBSCertificate, read.Signature); err != nil {
		return unsound("its signature does not verify", err)
	}
	return nil
}
