package certstore

import (
	"bytes"
	"crypto/x509"
	"encoding/asn1"
	"encoding/pem"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/problem"
	"golang.org/x/crypto/cryptobyte"
	cbasn1 "golang.org/x/crypto/cryptobyte/asn1"
)

// kind is what a file in DER holds, in words that follow "The file holds".
type kind string

const (
	kindCertificate kind = "a certificate"
	kindPKCS7       kind = "a PKCS#7 message"
	kindPKCS12      kind = "a PKCS#12 file"
	kindRequest     kind = nameOfRequest
	kindPrivateKey  kind = nameOfPrivateKey
	kindPublicKey   kind = nameOfPublicKey
	kindCRL         kind = nameOfCRL
	kindText        kind = "text, but not PEM"
	kindOther       kind = "data of an unknown kind"
)

// Names of what is not a certificate.
const (
	nameOfRequest    = "a certificate request"
	nameOfPrivateKey = "a private key"
	nameOfPublicKey  = "a public key"
	nameOfCRL        = "a revocation list"
	nameOfTrusted    = "an OpenSSL TRUSTED CERTIFICATE"
)

// identify tells what is in a file that is not PEM. A structure that is cut
// off is a problem.Mismatch.
func identify(data []byte) (kind, error) {
	// Lengths that are left open, as BER has them: PKCS#12 begins with a
	// version, PKCS#7 with an OID.
	if bytes.HasPrefix(data, []byte{0x30, 0x80, 0x02}) {
		return kindPKCS12, nil
	}
	if bytes.HasPrefix(data, []byte{0x30, 0x80}) {
		return kindPKCS7, nil
	}
	if len(data) == 0 || data[0] != 0x30 {
		if utf8.Valid(data) {
			return kindText, nil
		}
		return kindOther, nil
	}
	if length, ok := announcedLength(data); ok && length > len(data) {
		return "", problem.New(problem.Mismatch, "the file is incomplete").
			Because("The file has %d bytes, but its first structure needs %d.", len(data), length)
	}
	input := cryptobyte.String(data)
	var content cryptobyte.String
	if !input.ReadASN1(&content, cbasn1.SEQUENCE) {
		return kindOther, nil
	}
	return kindOf(content, data), nil
}

// oidPKCS7 begins the types of content of RFC 2315, 14.
const oidPKCS7 = "1.2.840.113549.1.7."

// kindOf goes by the first elements of the structure.
func kindOf(content cryptobyte.String, whole []byte) kind {
	var oid asn1.ObjectIdentifier
	var version int
	switch {
	case content.PeekASN1Tag(cbasn1.OBJECT_IDENTIFIER):
		if content.ReadASN1ObjectIdentifier(&oid) && strings.HasPrefix(oid.String(), oidPKCS7) {
			return kindPKCS7
		}
		return kindOther
	case content.PeekASN1Tag(cbasn1.INTEGER):
		switch {
		case !content.ReadASN1Integer(&version):
			return kindOther
		case version == 3 && content.PeekASN1Tag(cbasn1.SEQUENCE):
			return kindPKCS12
		case version <= 1: // PKCS#1, PKCS#8, SEC1
			return kindPrivateKey
		}
		return kindOther
	}
	if _, err := x509.ParseCertificateRequest(whole); err == nil {
		return kindRequest
	}
	if _, err := x509.ParsePKIXPublicKey(whole); err == nil {
		return kindPublicKey
	}
	if _, err := x509.ParseRevocationList(whole); err == nil {
		return kindCRL
	}
	if !content.SkipASN1(cbasn1.SEQUENCE) {
		return kindOther
	}
	if content.PeekASN1Tag(cbasn1.OCTET_STRING) {
		return kindPrivateKey // encrypted, RFC 5958, 3
	}
	return kindCertificate
}

// announcedLength is the length in bytes of a DER structure, header included,
// as its header says.
func announcedLength(data []byte) (length int, ok bool) {
	if len(data) < 2 {
		return 0, false
	}
	n := int(data[1])
	if n < 0x80 {
		return 2 + n, true
	}
	n &= 0x7F
	if n == 0 || n > 4 || len(data) < 2+n {
		return 0, false
	}
	for _, b := range data[2 : 2+n] {
		length = length<<8 | int(b)
	}
	return 2 + n + length, true
}

// nameOfPEM says what a PEM block is, for one that holds no certificate.
func nameOfPEM(label string) string {
	switch {
	case strings.HasSuffix(label, "PRIVATE KEY"):
		return nameOfPrivateKey
	case strings.HasSuffix(label, "CERTIFICATE REQUEST"):
		return nameOfRequest
	case strings.HasSuffix(label, "PUBLIC KEY"):
		return nameOfPublicKey
	case label == "X509 CRL":
		return nameOfCRL
	case label == "TRUSTED CERTIFICATE":
		return nameOfTrusted
	}
	return fmt.Sprintf("a PEM block of type %q", label)
}

// EncodePEM wraps a certificate as RFC 7468, 5, has it.
func EncodePEM(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
