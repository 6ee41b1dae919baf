package csr

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Build makes a PKCS#10 request (RFC 2986) in DER and has it signed. What
// comes back has been read again and its signature verified with the signer's
// public key. A key that cannot make the signature asked for is a
// problem.NotSupported, a result that does not hold a problem.Mismatch.
func Build(ctx context.Context, signer crypto.Signer, r Request) ([]byte, error) {
	public := signer.Public()
	s, err := r.scheme(public)
	if err != nil {
		return nil, err
	}
	subject, err := r.Subject.DER()
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, "the subject cannot be encoded")
	}
	info, err := r.info(subject, public)
	if err != nil {
		return nil, problem.Wrap(problem.NotSupported, err, "the request could not be created")
	}
	der, err := s.sign(ctx, signer, info)
	if err != nil {
		return nil, err
	}
	if _, ok := public.(*pubkey.Other); ok {
		return der, nil
	}
	if err := checkRequest(der, subject, public, s.algorithm); err != nil {
		return nil, err
	}
	return der, nil
}

// sign has the key sign the content of a request (RFC 2986, 4.2) or certificate (RFC 5280,
// 4.1), and returns the whole. A signature on a curve that crypto/x509 does not have is
// verified here.
func (s scheme) sign(ctx context.Context, signer crypto.Signer, content []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	signature, err := signer.Sign(rand.Reader, s.input(content), s.opts)
	if err != nil {
		return nil, err
	}
	if other, ok := signer.Public().(*pubkey.Other); ok && !other.Curve.Verify(other.Key, s.input(content), signature) {
		return nil, unsound("its signature does not verify with the public key", nil)
	}
	der, err := s.signed(content, signature)
	if err != nil {
		return nil, problem.Wrap(problem.Failed, err, "the signed result could not be encoded")
	}
	return der, nil
}

// checkRequest reads the request as a stranger does.
func checkRequest(der, subject []byte, pub crypto.PublicKey, algorithm x509.SignatureAlgorithm) error {
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		return unsound("it cannot be read back", err)
	}
	if err := request.CheckSignature(); err != nil {
		return unsound("its signature does not verify", err)
	}
	return checkContent(request.RawSubject, subject, request.PublicKey, pub, request.SignatureAlgorithm, algorithm)
}

// checkContent compares what was read with what was meant. x509 reports PSS
// only for the parameters that go with the digest.
func checkContent(gotSubject, subject []byte, gotPublic, public crypto.PublicKey, gotAlgorithm, algorithm x509.SignatureAlgorithm) error {
	comparable, ok := gotPublic.(interface{ Equal(crypto.PublicKey) bool })
	switch {
	case !bytes.Equal(gotSubject, subject):
		return unsound("its subject is a different one", nil)
	case !ok || !comparable.Equal(public):
		return unsound("its public key is not the one of the signing key", nil)
	case gotAlgorithm != algorithm:
		return unsound("it is signed with "+gotAlgorithm.String()+", not with "+algorithm.String(), nil)
	}
	return nil
}

func unsound(why string, cause error) error {
	p := problem.New(problem.Mismatch, "the signed result is not correct: %s", why)
	p.Cause = cause
	return p
}

// signatureAlgorithm is what the key and the request come to.
func (r Request) signatureAlgorithm(pub crypto.PublicKey) (x509.SignatureAlgorithm, error) {
	switch pub := pub.(type) {
	case *rsa.PublicKey:
		if r.PSS {
			return suiteOf(r.Digest).pss, nil
		}
		return suiteOf(r.Digest).pkcs1, nil
	case *ecdsa.PublicKey:
		if r.PSS {
			return 0, notPSS("ECDSA")
		}
		if r.Digest == 0 {
			return suiteOf(digestFor(pub.Curve)).ecdsa, nil
		}
		return suiteOf(r.Digest).ecdsa, nil
	case ed25519.PublicKey:
		if r.PSS {
			return 0, notPSS("Ed25519")
		}
		if r.Digest != 0 {
			return 0, problem.New(problem.NotSupported, "an Ed25519 key does not sign %s digests", r.Digest).
				Because("Ed25519 signs the message itself, so there is no digest to choose.").
				Advise(advice.Repeat().Without(advice.Digest))
		}
		return x509.PureEd25519, nil
	case *pubkey.Other:
		if r.PSS {
			return 0, notPSS(pub.Name())
		}
		return 0, key.CannotSign("a key on "+pub.Name(),
			"cardctl cannot check such a signature. It can on Brainpool curves of 256, 384 and 512 bits, secp256k1 and Ed448.")
	}
	return 0, key.CannotSign("this key", fmt.Sprintf("It is a key-agreement key, or its type has no X.509 signatures (%T).", pub))
}

func notPSS(algorithm string) error {
	return problem.New(problem.NotSupported, "an %s key cannot make PSS signatures", algorithm).
		Because("PSS is a padding for RSA.").
		Advise(advice.Repeat().Without(advice.PSS))
}

func digestFor(curve elliptic.Curve) crypto.Hash {
	switch curve {
	case elliptic.P384():
		return crypto.SHA384
	case elliptic.P521():
		return crypto.SHA512
	}
	return crypto.SHA256
}

// suite is the signature algorithms with one digest.
type suite struct{ pkcs1, pss, ecdsa x509.SignatureAlgorithm }

func suiteOf(digest crypto.Hash) suite {
	switch digest {
	case crypto.SHA384:
		return suite{x509.SHA384WithRSA, x509.SHA384WithRSAPSS, x509.ECDSAWithSHA384}
	case crypto.SHA512:
		return suite{x509.SHA512WithRSA, x509.SHA512WithRSAPSS, x509.ECDSAWithSHA512}
	}
	return suite{x509.SHA256WithRSA, x509.SHA256WithRSAPSS, x509.ECDSAWithSHA256}
}

// PEMRequest and PEMCertificate wrap DER as RFC 7468 has it.
func PEMRequest(der []byte) []byte     { return encodePEM("CERTIFICATE REQUEST", der) }
func PEMCertificate(der []byte) []byte { return encodePEM("CERTIFICATE", der) }

func encodePEM(label string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
}
