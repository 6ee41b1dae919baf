package cmp

import (
	"context"
	"crypto"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// RequestIDs of a request for one certificate (RFC 9483, 4.1.1 and 4.1.4).
const (
	idOfUpdate  = 0
	IDOfRequest = -1 // of a PKCS#10, which has none
)

// NewRequest is a PKCS#10 as it is (RFC 9483, 4.1.4).
func NewRequest(pkcs10 []byte) Body { return Body{Kind: P10CR, Version: Version2, content: pkcs10} }

// Update is what a certificate is to be replaced by (RFC 9483, 4.1.3).
type Update struct {
	// Subject and PublicKey (SubjectPublicKeyInfo) are in DER.
	Subject, PublicKey []byte
	Extensions         []pkix.Extension
	// Issuer (a Name in DER) and Serial are those of the certificate.
	Issuer []byte
	Serial *big.Int
	// Algorithm is the AlgorithmIdentifier of the signatures of Sign, with the key of the
	// certificate that is asked for.
	Algorithm []byte
	Sign      func(ctx context.Context, message []byte) ([]byte, error)
}

// oidOldCertID is RFC 4211, 6.5.
var oidOldCertID = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 5, 1, 5}

// NewUpdate is CertReqMessages (RFC 4211, 3) with one request, and a signature as proof of
// possession (RFC 4211, 4.1).
func NewUpdate(ctx context.Context, u Update) (Body, error) {
	request, err := u.certRequest()
	if err != nil {
		return Body{}, err
	}
	signature, err := u.Sign(ctx, request)
	if err != nil {
		return Body{}, err
	}
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddBytes(request)
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) { // POPOSigningKey
				b.AddBytes(u.Algorithm)
				b.AddASN1BitString(signature)
			})
		})
	})
	content, err := b.Bytes()
	return Body{Kind: KUR, Version: Version2, content: content}, err
}

// certRequest is CertRequest (RFC 4211, 5). Its module has implicit tags, but for Name.
func (u Update) certRequest() ([]byte, error) {
	extensions, err := asn1.MarshalWithParams(u.Extensions, "tag:9")
	if err != nil {
		return nil, err
	}
	var key cryptobyte.String
	input := cryptobyte.String(u.PublicKey)
	if !input.ReadASN1(&key, cbasn1.SEQUENCE) {
		return nil, asn1.StructuralError{Msg: "not a SubjectPublicKeyInfo"}
	}
	const subject, publicKey = 5, 6
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(idOfUpdate)
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // CertTemplate
			b.AddASN1(explicit(subject), func(b *cryptobyte.Builder) { b.AddBytes(u.Subject) })
			b.AddASN1(explicit(publicKey), func(b *cryptobyte.Builder) { b.AddBytes(key) })
			if len(u.Extensions) > 0 {
				b.AddBytes(extensions)
			}
		})
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { // Controls
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
				b.AddASN1ObjectIdentifier(oidOldCertID)
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					b.AddASN1(explicit(directoryName), func(b *cryptobyte.Builder) { b.AddBytes(u.Issuer) })
					b.AddASN1BigInt(u.Serial)
				})
			})
		})
	})
	return b.Bytes()
}

// Confirmation says whether a certificate was accepted (RFC 9810, 5.3.18).
type Confirmation struct {
	ID          int
	Certificate []byte // in DER
	// Digest is that of the signature of the certificate, 0 where it names none.
	Digest  crypto.Hash
	Refused bool
}

// NewConfirmation is certConf.
func NewConfirmation(c Confirmation) (Body, error) {
	body := Body{Kind: CertConf, Version: Version2}
	digest := c.Digest
	if pubkey.DigestOID(digest) == nil {
		digest, body.Version = crypto.SHA512, Version3 // RFC 9481, 2.2: as of Ed25519
	}
	h := digest.New()
	h.Write(c.Certificate)
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
			b.AddASN1OctetString(h.Sum(nil))
			b.AddASN1Int64(int64(c.ID))
			b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { addStatus(b, c.Refused) })
			if body.Version == Version3 {
				b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddBytes(identifier(pubkey.DigestOID(digest), nil)) })
			}
		})
	})
	var err error
	body.content, err = b.Bytes()
	return body, err
}

// addStatus adds the fields of PKIStatusInfo (RFC 9810, 5.2.3).
func addStatus(b *cryptobyte.Builder, refused bool) {
	if !refused {
		b.AddASN1Int64(int64(Accepted))
		return
	}
	b.AddASN1Int64(int64(Rejection))
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.UTF8String, func(b *cryptobyte.Builder) {
			b.AddBytes([]byte("the certificate is not the one that was asked for"))
		})
	})
}

// NewPoll asks for an answer that takes time (RFC 9483, 4.4).
func NewPoll(id int) Body {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddASN1Int64(int64(id)) })
	})
	return Body{Kind: PollReq, Version: Version2, content: b.BytesOrPanic()}
}
