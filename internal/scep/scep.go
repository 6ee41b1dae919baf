// Package scep writes and reads the messages of the Simple Certificate Enrolment Protocol
// (RFC 8894). Who is believed, and what is sent when, is left to package enroll; how data
// is signed and encrypted, to package cms.
package scep

import (
	"context"
	"crypto/sha256"
	"encoding/asn1"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/cms"
)

// Type is the messageType of a message (RFC 8894, 3.2.1.2).
type Type string

// The types that a client meets.
const (
	CertRep    Type = "3"
	RenewalReq Type = "17"
	PKCSReq    Type = "19"
	CertPoll   Type = "20"
)

// Status is the pkiStatus of an answer (RFC 8894, 3.2.1.3).
type Status string

// What has become of a request.
const (
	Success Status = "0"
	Failure Status = "2"
	Pending Status = "3"
)

// OIDs of attributes (RFC 8894, 3.2.1).
var (
	oidMessageType    = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 2}
	oidPKIStatus      = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 3}
	oidFailInfo       = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 4}
	oidSenderNonce    = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 5}
	oidRecipientNonce = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 6}
	oidTransactionID  = asn1.ObjectIdentifier{2, 16, 840, 1, 113733, 1, 9, 7}
	oidFailInfoText   = asn1.ObjectIdentifier{1, 3, 6, 1, 5, 5, 7, 24, 1}
)

// NonceLength is the length in bytes of a nonce (RFC 8894, 3.2.1.5).
const NonceLength = 16

// ErrDamaged is what is not an answer that can be used.
var ErrDamaged = errors.New("not a SCEP message")

// Capabilities is what a CA announces (RFC 8894, 3.5.2).
type Capabilities struct {
	// Strong says that it accepts AES and SHA-2, POST that messages may be posted, and
	// Renewal that a certificate may sign a request for its successor.
	Strong, POST, Renewal bool
}

// ParseCapabilities reads them: a line each, whatever the case of letters.
func ParseCapabilities(text []byte) (c Capabilities) {
	var aes, sha2 bool
	for _, line := range strings.FieldsFunc(string(text), func(r rune) bool { return r == '\n' || r == '\r' }) {
		switch strings.ToLower(strings.TrimSpace(line)) {
		case "aes":
			aes = true
		case "sha-256", "sha-512":
			sha2 = true
		case "postpkioperation":
			c.POST = true
		case "renewal":
			c.Renewal = true
		case "scepstandard":
			aes, sha2, c.POST = true, true, true
		}
	}
	c.Strong = aes && sha2
	return c
}

// TransactionID is the one of requests for a key (RFC 8894, 3.2.1.1): a hash of its
// SubjectPublicKeyInfo in DER.
func TransactionID(publicKey []byte) string { return fmt.Sprintf("%X", sha256.Sum256(publicKey)) }

// Request is a message that is to be sent (RFC 8894, 3.3).
type Request struct {
	Type          Type
	TransactionID string
	SenderNonce   []byte
	// Content is a PKCS#10, or of a CertPoll what IssuerAndSubject makes.
	Content []byte
	// Recipient is the certificate that the content is encrypted to.
	Recipient *cert.Certificate
}

// Encode makes the pkiMessage (RFC 8894, 3.2), which the signer signs.
func (r Request) Encode(ctx context.Context, s cms.Signer) ([]byte, error) {
	sealed, err := cms.Envelope(r.Content, r.Recipient)
	if err != nil {
		return nil, err
	}
	var nonce cryptobyte.Builder
	nonce.AddASN1OctetString(r.SenderNonce)
	return cms.Sign(ctx, sealed, []cms.Attribute{
		{Type: oidMessageType, Value: printable(string(r.Type))},
		{Type: oidTransactionID, Value: printable(r.TransactionID)},
		{Type: oidSenderNonce, Value: nonce.BytesOrPanic()},
	}, s)
}

func printable(text string) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.PrintableString, func(b *cryptobyte.Builder) { b.AddBytes([]byte(text)) })
	return b.BytesOrPanic()
}

// IssuerAndSubject is the content of a CertPoll (RFC 8894, 3.3.3): two Names in DER.
func IssuerAndSubject(issuer, subject []byte) []byte {
	var b cryptobyte.Builder
	b.AddASN1(cbasn1.SEQUENCE, func(b *cryptobyte.Builder) {
		b.AddBytes(issuer)
		b.AddBytes(subject)
	})
	return b.BytesOrPanic()
}

// Answer is a CertRep (RFC 8894, 3.3.2) that was read.
type Answer struct {
	*cms.Signed

	TransactionID               string
	Status                      Status
	SenderNonce, RecipientNonce []byte
	// Said is why a request failed, and what the CA adds to it.
	Said string
}

// ParseAnswer reads an answer. None of it is to be believed before Verify.
func ParseAnswer(data []byte) (*Answer, error) {
	signed, err := cms.ParseSigned(data)
	if err != nil {
		return nil, errors.Join(ErrDamaged, err)
	}
	a := &Answer{
		Signed: signed, TransactionID: string(signed.Octets(oidTransactionID)), Status: Status(signed.Octets(oidPKIStatus)),
		SenderNonce: signed.Octets(oidSenderNonce), RecipientNonce: signed.Octets(oidRecipientNonce),
	}
	if Type(signed.Octets(oidMessageType)) != CertRep {
		return nil, ErrDamaged
	}
	a.Said = failure(string(signed.Octets(oidFailInfo)))
	if text := string(signed.Octets(oidFailInfoText)); text != "" {
		a.Said = strings.TrimPrefix(a.Said+": "+text, ": ")
	}
	return a, nil
}

// failure is the name of a failInfo (RFC 8894, 3.2.1.4); empty for none.
func failure(code string) string {
	names := []string{"badAlg", "badMessageCheck", "badRequest", "badTime", "badCertId"}
	for i, name := range names {
		if code == fmt.Sprint(i) {
			return name
		}
	}
	return code
}

// Certificates are those in the content of a successful answer, once it is decrypted
// (RFC 8894, 3.4): SignedData without signers.
func Certificates(content []byte) ([]*cert.Certificate, error) {
	all, err := cms.Certificates(content, maxCertificates)
	if err != nil {
		return nil, errors.Join(ErrDamaged, err)
	}
	return all, nil
}

const maxCertificates = 32

// isBundle reports whether an answer to GetCACert is several certificates, and not just
// one.
func isBundle(data []byte) bool {
	outer, _, err := ber.Read(data)
	if err != nil {
		return false
	}
	list, err := outer.Elements(2)
	return len(list) > 0 && err == nil && list[0].Is(ber.OID)
}

// Authorities are the certificates of an answer to GetCACert (RFC 8894, 4.2.1).
func Authorities(data []byte) ([]*cert.Certificate, error) {
	if isBundle(data) {
		return Certificates(data)
	}
	one, err := cert.Parse(data)
	if err != nil {
		return nil, errors.Join(ErrDamaged, err)
	}
	return []*cert.Certificate{one}, nil
}
