// Package cmp writes and reads the messages of the Certificate Management Protocol (RFC
// 9810) that the Lightweight CMP Profile (RFC 9483) has for an end entity: requests,
// updates, their answers, polling and confirmation. It verifies what protects a message.
// Who is believed, and what is sent when, is left to package enroll.
package cmp

import (
	"context"
	"encoding/asn1"
	"time"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// Kind is which alternative of PKIBody a message is (RFC 9810, 5.1.2).
type Kind int

// The kinds that an end entity meets.
const (
	CP       Kind = 3
	P10CR    Kind = 4
	KUR      Kind = 7
	KUP      Kind = 8
	PKIConf  Kind = 19
	Error    Kind = 23
	CertConf Kind = 24
	PollReq  Kind = 25
	PollRep  Kind = 26
)

// Versions of the protocol, the field pvno (RFC 9483, 3.1).
const (
	Version2 = 2
	// Version3 has hashAlg in CertStatus.
	Version3 = 3
)

// NonceLength is the length in bytes of a nonce, and of a transaction ID (RFC 9810, 5.1.1).
const NonceLength = 16

// Body is the content of a message. Its version is the lowest one that has it.
type Body struct {
	Kind    Kind
	Version int
	content []byte
}

// Request is a PKIMessage (RFC 9810, 5.1) that is to be sent.
type Request struct {
	// Recipient is a Name in DER, nil where it is not known.
	Recipient                  []byte
	Time                       time.Time
	TransactionID, SenderNonce []byte
	// RecipNonce is nil in the first message of a transaction.
	RecipNonce []byte
	Body       Body
}

// Protection is what protects a message (RFC 9810, 5.1.3).
type Protection struct {
	// Sender is the Name of who sends, Algorithm an AlgorithmIdentifier, both in DER.
	Sender, Algorithm []byte
	// KeyID is what the key is found by, nil where nothing names it.
	KeyID []byte
	// Certificates are that of the key and those above it, in DER.
	Certificates [][]byte
	// Protect computes the protection of a ProtectedPart.
	Protect func(ctx context.Context, part []byte) ([]byte, error)
}

// emptyName is the Name of somebody who is not known (RFC 9483, 3.1).
var emptyName = []byte{0x30, 0}

func explicit(tag uint8) cbasn1.Tag { return cbasn1.Tag(tag).ContextSpecific().Constructed() }

// directoryName is that alternative of GeneralName (RFC 5280, 4.2.1.6).
const directoryName = 4

// Encode has the message protected, and encodes it.
func (r Request) Encode(ctx context.Context, p Protection) ([]byte, error) {
	header, err := r.header(p)
	if err != nil {
		return nil, err
	}
	var body, part, whole cryptobyte.Builder
	body.AddASN1(explicit(uint8(r.Body.Kind)), func(b *cryptobyte.Builder) { b.AddBytes(r.Body.content) })
	content := append(header, body.BytesOrPanic()...)
	part.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) { b.AddBytes(content) })
	protection, err := p.Protect(ctx, part.BytesOrPanic())
	if err != nil {
		return nil, err
	}
	whole.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(content)
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1BitString(protection) })
		if len(p.Certificates) > 0 {
			b.AddASN1(explicit(1), func(b *cryptobyte.Builder) {
				b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
					for _, certificate := range p.Certificates {
						b.AddBytes(certificate)
					}
				})
			})
		}
	})
	return whole.Bytes()
}

// header is PKIHeader (RFC 9810, 5.1.1).
func (r Request) header(p Protection) ([]byte, error) {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1Int64(int64(r.Body.Version))
		for _, name := range [][]byte{p.Sender, r.Recipient} {
			if name == nil {
				name = emptyName
			}
			b.AddASN1(explicit(directoryName), func(b *cryptobyte.Builder) { b.AddBytes(name) })
		}
		b.AddASN1(explicit(0), func(b *cryptobyte.Builder) { b.AddASN1GeneralizedTime(r.Time.UTC()) })
		b.AddASN1(explicit(1), func(b *cryptobyte.Builder) { b.AddBytes(p.Algorithm) })
		const keyID, transaction, senderNonce, recipNonce = 2, 4, 5, 6
		for _, field := range []struct {
			tag   uint8
			value []byte
		}{{keyID, p.KeyID}, {transaction, r.TransactionID}, {senderNonce, r.SenderNonce}, {recipNonce, r.RecipNonce}} {
			if field.value != nil {
				b.AddASN1(explicit(field.tag), func(b *cryptobyte.Builder) { b.AddASN1OctetString(field.value) })
			}
		}
	})
	return b.Bytes()
}

// identifier is an AlgorithmIdentifier (RFC 5280, 4.1.1.2). Parameters are in DER, nil for
// none.
func identifier(oid asn1.ObjectIdentifier, parameters []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddASN1ObjectIdentifier(oid)
		b.AddBytes(parameters)
	})
	return b.BytesOrPanic() // of a known OID
}
