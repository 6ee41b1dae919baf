package p11kit

import (
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"math/big"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// objectsOf are the certificate, the public and the private key of a key; none for a key of a
// kind that PKCS #11 does not have.
func objectsOf(key agent.Key, needsLogin bool) []*object {
	about := key.About()
	numbers := numbersOf(about)
	if numbers == nil {
		return nil
	}
	named := []attribute{
		truth(ckaToken, true), truth(ckaModifiable, false), truth(ckaDestroyable, false),
		{ckaLabel, []byte(about.Label)}, {ckaID, about.ID},
	}
	if info, err := pubkey.Marshal(about.Public); err == nil {
		named = append(named, attribute{ckaPublicKeyInfo, info})
	}
	var list []*object
	var subject []attribute
	if certificate, err := x509.ParseCertificate(about.Certificate); err == nil {
		subject = []attribute{{ckaSubject, certificate.RawSubject}}
		list = append(list, certificateObject(certificate, named))
	}
	public := newObject(named...)
	public.public = about.Public
	public.add(subject...)
	public.add(numbers...)
	public.add(number(ckaClass, ckoPublicKey), truth(ckaPrivate, false), truth(ckaTrusted, false), truth(ckaLocal, false),
		truth(ckaEncrypt, about.Decrypts), truth(ckaVerify, about.Signs), truth(ckaVerifyRecover, false),
		truth(ckaWrap, false), truth(ckaDerive, false))

	private := newObject(named...)
	private.public, private.key = about.Public, key
	private.add(subject...)
	private.add(numbers...)
	private.add(number(ckaClass, ckoPrivateKey), truth(ckaPrivate, needsLogin), truth(ckaLocal, false),
		truth(ckaSensitive, true), truth(ckaExtractable, false), truth(ckaAlwaysSensitive, false), truth(ckaNeverExtractable, false),
		truth(ckaSign, about.Signs), truth(ckaSignRecover, false), truth(ckaDecrypt, about.Decrypts), truth(ckaUnwrap, false),
		truth(ckaDerive, about.Derives), truth(ckaWrapWithTrusted, false), truth(ckaAlwaysAuthenticate, about.Always))
	return append(list, public, private)
}

// certificateObject is an X.509 public key certificate (section 4.6.3).
func certificateObject(certificate *x509.Certificate, named []attribute) *object {
	o := newObject(named...)
	o.add(number(ckaClass, ckoCertificate), number(ckaCertificateType, ckcX509), number(ckaCertificateCategory, 0),
		truth(ckaPrivate, false), truth(ckaTrusted, false),
		attribute{ckaSubject, certificate.RawSubject}, attribute{ckaIssuer, certificate.RawIssuer}, attribute{ckaValue, certificate.Raw},
		attribute{ckaStartDate, []byte(certificate.NotBefore.UTC().Format("20060102"))},
		attribute{ckaEndDate, []byte(certificate.NotAfter.UTC().Format("20060102"))})
	if serial, err := asn1.Marshal(certificate.SerialNumber); err == nil {
		o.add(attribute{ckaSerialNumber, serial})
	}
	return o
}

// numbersOf are the type of a key and its public numbers: RSA M 2.1.2, elliptic curves M 2.3.3,
// Edwards and Montgomery curves with their OIDs of RFC 8410.
func numbersOf(about agent.KeyAbout) []attribute {
	switch key := about.Public.(type) {
	case *rsa.PublicKey:
		return []attribute{
			number(ckaKeyType, ckkRSA), {ckaModulus, key.N.Bytes()}, number(ckaModulusBits, uint64(key.N.BitLen())),
			{ckaPublicExponent, big.NewInt(int64(key.E)).Bytes()},
		}
	case *ecdsa.PublicKey:
		if point, err := key.Bytes(); err == nil {
			return onCurve(ckkEC, oidOf(key.Curve), point)
		}
	case ed25519.PublicKey:
		return onCurve(ckkECEdwards, asn1.ObjectIdentifier{1, 3, 101, 112}, key)
	case *ecdh.PublicKey:
		switch key.Curve() {
		case ecdh.X25519():
			return onCurve(ckkECMontgomery, asn1.ObjectIdentifier{1, 3, 101, 110}, key.Bytes())
		case ecdh.P256():
			return onCurve(ckkEC, oidOf(elliptic.P256()), key.Bytes())
		case ecdh.P384():
			return onCurve(ckkEC, oidOf(elliptic.P384()), key.Bytes())
		case ecdh.P521():
			return onCurve(ckkEC, oidOf(elliptic.P521()), key.Bytes())
		}
	}
	return nil
}

func onCurve(kind uint64, curve asn1.ObjectIdentifier, point []byte) []attribute {
	parameters, err := asn1.Marshal(curve)
	if err != nil {
		return nil
	}
	octets, err := asn1.Marshal(point)
	if err != nil {
		return nil
	}
	return []attribute{number(ckaKeyType, kind), {ckaECParams, parameters}, {ckaECPoint, octets}}
}

// oidOf is the name of a curve (RFC 5480, 2.1.1.1), nil for one that it does not have.
func oidOf(curve elliptic.Curve) asn1.ObjectIdentifier {
	switch curve {
	case elliptic.P224():
		return asn1.ObjectIdentifier{1, 3, 132, 0, 33}
	case elliptic.P256():
		return asn1.ObjectIdentifier{1, 2, 840, 10045, 3, 1, 7}
	case elliptic.P384():
		return asn1.ObjectIdentifier{1, 3, 132, 0, 34}
	case elliptic.P521():
		return asn1.ObjectIdentifier{1, 3, 132, 0, 35}
	}
	return nil
}
