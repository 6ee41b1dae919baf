package csr

import (
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// scheme is how a request is signed.
type scheme struct {
	algorithm  x509.SignatureAlgorithm // unknown for what crypto/x509 does not have
	oid        asn1.ObjectIdentifier
	parameters []byte // DER, none for nil
	// opts have the hash 0 for a signature of the message itself.
	opts crypto.SignerOpts
}

// scheme is the one that the key and the request come to.
func (r Request) scheme(public crypto.PublicKey) (scheme, error) {
	if other, ok := public.(*pubkey.Other); ok && other.Curve.Verifies() && !r.PSS {
		oid, hash := signatureOn(other, r.Digest)
		if oid == nil {
			return scheme{}, problem.New(problem.NotSupported, "a key on %s does not sign %s digests", other.Name(), r.Digest)
		}
		return scheme{oid: oid, opts: hash}, nil
	}
	algorithm, err := r.signatureAlgorithm(public)
	if err != nil {
		return scheme{}, err
	}
	s := schemeOf(algorithm)
	s.algorithm = algorithm
	return s, nil
}

// schemeOf has the identifiers of RFC 4055, 5 and 3.1, RFC 5758, 3.2, and RFC 8410, 3.
func schemeOf(algorithm x509.SignatureAlgorithm) scheme {
	switch algorithm {
	case x509.SHA384WithRSA:
		return pkcs1(12, crypto.SHA384)
	case x509.SHA512WithRSA:
		return pkcs1(13, crypto.SHA512)
	case x509.SHA256WithRSAPSS:
		return pss(crypto.SHA256)
	case x509.SHA384WithRSAPSS:
		return pss(crypto.SHA384)
	case x509.SHA512WithRSAPSS:
		return pss(crypto.SHA512)
	case x509.ECDSAWithSHA256:
		return scheme{oid: ecdsaWith(crypto.SHA256), opts: crypto.SHA256}
	case x509.ECDSAWithSHA384:
		return scheme{oid: ecdsaWith(crypto.SHA384), opts: crypto.SHA384}
	case x509.ECDSAWithSHA512:
		return scheme{oid: ecdsaWith(crypto.SHA512), opts: crypto.SHA512}
	case x509.PureEd25519:
		return scheme{oid: asn1.ObjectIdentifier{1, 3, 101, 112}, opts: crypto.Hash(0)}
	}
	return pkcs1(11, crypto.SHA256)
}

func oidPKCS1(arc int) asn1.ObjectIdentifier {
	return asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, arc}
}

// ecdsaWith is nil for other digests than those of SHA-2 from 256 bits on.
func ecdsaWith(hash crypto.Hash) asn1.ObjectIdentifier {
	last, ok := map[crypto.Hash]int{crypto.SHA256: 2, crypto.SHA384: 3, crypto.SHA512: 4}[hash]
	if !ok {
		return nil
	}
	return asn1.ObjectIdentifier{1, 2, 840, 10045, 4, 3, last}
}

func pkcs1(arc int, hash crypto.Hash) scheme {
	return scheme{oid: oidPKCS1(arc), parameters: asn1.NullBytes, opts: hash}
}

// pss has RSASSA-PSS-params (RFC 4055, 3.1): the digest in the mask too, and a salt as
// long as it.
func pss(hash crypto.Hash) scheme {
	const mgf1 = 8
	digest := scheme{oid: pubkey.DigestOID(hash), parameters: asn1.NullBytes}
	tagged := func(tag uint8) cbasn1.Tag { return cbasn1.Tag(tag).ContextSpecific().Constructed() }
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(tagged(0), digest.identifier)
		b.AddASN1(tagged(1), scheme{oid: oidPKCS1(mgf1), parameters: digest.der()}.identifier)
		b.AddASN1(tagged(2), func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(hash.Size())) })
	})
	const rsassaPSS = 10
	return scheme{
		oid: oidPKCS1(rsassaPSS), parameters: b.BytesOrPanic(),
		opts: &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash},
	}
}

// identifier adds the AlgorithmIdentifier (RFC 5280, 4.1.1.2).
func (s scheme) identifier(b *cryptobyte.Builder) {
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(s.oid)
		b.AddBytes(s.parameters)
	})
}

// der is the AlgorithmIdentifier of a known OID, so it cannot fail.
func (s scheme) der() []byte {
	var b cryptobyte.Builder
	s.identifier(&b)
	return b.BytesOrPanic()
}

// input is what the key signs of a message.
func (s scheme) input(message []byte) []byte {
	if s.opts.HashFunc() == 0 {
		return message
	}
	h := s.opts.HashFunc().New()
	h.Write(message)
	return h.Sum(nil)
}

// signed is a CertificationRequest (RFC 2986, 4.2) or Certificate (RFC 5280, 4.1).
func (s scheme) signed(content, signature []byte) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(content)
		s.identifier(b)
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
	return ecdsaWith(digest), digest
}
