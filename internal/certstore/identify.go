package certstore

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/packaging"
	"github.com/cardctl/cardctl/internal/problem"
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

// identify tells what a structure is. One that is cut off is a problem.Mismatch.
func identify(data []byte) (kind, error) {
	const sequence = 0x30
	if len(data) == 0 || data[0] != sequence {
		return kind(packaging.Name(data).Name), nil
	}
	const first = 3
	e, _, err := ber.Read(data)
	switch {
	case errors.Is(err, ber.ErrTruncated):
		return "", problem.New(problem.Mismatch, "the file is incomplete").
			Because("The file has %d bytes, but its first structure needs more.", len(data))
	case err != nil:
		return kindOther, nil
	}
	parts, _ := e.Elements(first)
	return kindOf(parts, e.Raw), nil
}

// oidPKCS7 begins the types of content of RFC 2315, 14.
const oidPKCS7 = "1.2.840.113549.1.7."

// kindOf goes by the first elements of the structure.
func kindOf(parts []ber.Element, whole []byte) kind {
	if len(parts) < 2 {
		return kindOther
	}
	switch begin := parts[0]; {
	case begin.Is(ber.OID):
		if oid, err := begin.ObjectIdentifier(); err == nil && strings.HasPrefix(oid.String(), oidPKCS7) {
			return kindPKCS7
		}
		return kindOther
	case begin.Is(ber.Integer):
		switch version := begin.SmallInt(); {
		case version == 3 && parts[1].Is(ber.Sequence):
			return kindPKCS12
		case version <= 1: // PKCS#1, PKCS#8, SEC1
			return kindPrivateKey
		}
		return kindOther
	case !begin.Is(ber.Sequence):
		return kindOther
	case parts[1].Is(ber.OctetString):
		return kindPrivateKey // encrypted, RFC 5958, 3
	case parts[1].Is(ber.BitString):
		return kindPublicKey
	}
	if _, err := x509.ParseCertificateRequest(whole); err == nil {
		return kindRequest
	}
	if _, err := x509.ParseRevocationList(whole); err == nil {
		return kindCRL
	}
	return kindCertificate
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
