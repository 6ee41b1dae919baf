package csr

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// buildOther is Build for a key on a curve that crypto/x509 does not have. The request is
// made for a key that it has, and gets the right public key and signature.
func buildOther(ctx context.Context, signer crypto.Signer, public *pubkey.Other, r Request) ([]byte, error) {
	oid, hash := signatureOn(public, r.Digest)
	if oid == nil {
		return nil, problem.New(problem.NotSupported, "a key on %s does not sign %s digests", public.Name(), r.Digest)
	}
	subject, err := r.Subject.DER()
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "the subject cannot be encoded")
	}
	info, err := requestInfo(&x509.CertificateRequest{RawSubject: subject, ExtraExtensions: r.Extensions}, public)
	if err != nil {
		return nil, problem.Wrap(problem.NotSupported, err, "the request could not be created")
	}
	digest := info
	if hash != 0 {
		h := hash.New()
		h.Write(info)
		digest = h.Sum(nil)
	}
	once := &signOnce{ctx: ctx, Signer: signer}
	signature, err := once.Sign(rand.Reader, digest, hash)
	if err != nil {
		return nil, err
	}
	if !public.Curve.Verify(public.Key, digest, signature) {
		return nil, unsound("its signature does not verify with the public key", nil)
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(info)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1ObjectIdentifier(oid) })
		b.AddASN1BitString(signature)
	})
	return b.Bytes()
}

// signatureOn is the signature algorithm of a key by its OID (RFC 5758, 3.2; RFC 8410, 3),
// nil if it does not go with the digest.
func signatureOn(public *pubkey.Other, digest crypto.Hash) (asn1.ObjectIdentifier, crypto.Hash) {
	if !public.IsEC() {
		if digest != 0 {
			return nil, 0
		}
		return public.Curve.OID, 0
	}
	if digest == 0 {
		digest = crypto.SHA256
		switch size := public.Curve.Size(); {
		case size > crypto.SHA384.Size():
			digest = crypto.SHA512
		case size > crypto.SHA256.Size():
			digest = crypto.SHA384
		}
	}
	last, ok := map[crypto.Hash]int{crypto.SHA256: 2, crypto.SHA384: 3, crypto.SHA512: 4}[digest]
	if !ok {
		return nil, 0
	}
	return asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, last}, digest
}

// requestInfo is the CertificationRequestInfo (RFC 2986, 4.1) of a template, for the
// public key.
func requestInfo(template *x509.CertificateRequest, public *pubkey.Other) ([]byte, error) {
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, template, stranger)
	if err != nil {
		return nil, err
	}
	key, err := pubkey.Marshal(public)
	if err != nil {
		return nil, err
	}
	request, _, err := ber.Read(der)
	if err != nil {
		return nil, err
	}
	const ofRequest, ofInfo, position = 3, 4, 2
	parts, err := request.Elements(ofRequest)
	if err != nil {
		return nil, err
	}
	fields, err := parts[0].Elements(ofInfo)
	if err != nil {
		return nil, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		for i, field := range fields {
			if i == position {
				b.AddBytes(key)
				continue
			}
			b.AddBytes(field.Raw)
		}
	})
	return b.Bytes()
}
