package certstore

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Certificate is what there is to say of a certificate.
type Certificate struct {
	Subject      string    `json:"subject"`      // RFC 4514
	Issuer       string    `json:"issuer"`       // RFC 4514
	SerialNumber string    `json:"serialNumber"` // upper-case hex
	NotBefore    time.Time `json:"notBefore"`
	NotAfter     time.Time `json:"notAfter"`
	SHA256       string    `json:"sha256"` // of the DER, upper-case hex
	MatchesKey   bool      `json:"matchesKey"`

	// Unreadable says why the other fields are empty, where what is stored is
	// not a certificate.
	Unreadable string `json:"unreadable,omitempty"`
}

// Describe reads a certificate as it is stored. MatchesKey says whether its
// public key is pub; it is false where pub is nil.
func Describe(der []byte, pub crypto.PublicKey) Certificate {
	c, err := x509.ParseCertificate(withoutPadding(der))
	if err == nil {
		return describe(c, pub)
	}
	unreadable := Certificate{SHA256: fingerprint(der), Unreadable: "not a certificate in DER"}
	if block, _ := pem.Decode(der); block != nil {
		unreadable.Unreadable = "PEM text instead of DER"
	} else if kind, _ := identify(der); kind == kindCertificate {
		unreadable.Unreadable = "a damaged certificate: " + err.Error()
	}
	return unreadable
}

// withoutPadding cuts off what cards and programs leave behind a certificate.
func withoutPadding(der []byte) []byte {
	length, ok := announcedLength(der)
	if ok && length < len(der) && len(bytes.Trim(der[length:], "\x00\xFF")) == 0 {
		return der[:length]
	}
	return der
}

func describe(c *x509.Certificate, pub crypto.PublicKey) Certificate {
	return Certificate{
		Subject: nameOf(c.RawSubject, c.Subject), Issuer: nameOf(c.RawIssuer, c.Issuer),
		SerialNumber: serialOf(c), NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(),
		SHA256: fingerprint(c.Raw), MatchesKey: pub != nil && pubkey.Same(publicKeyOf(c), pub),
	}
}

// publicKeyOf is the certificate's public key, also where crypto/x509 leaves it
// out because it has no algorithm for it: X25519 (RFC 8410).
func publicKeyOf(c *x509.Certificate) crypto.PublicKey {
	if c.PublicKey != nil {
		return c.PublicKey
	}
	pub, err := x509.ParsePKIXPublicKey(c.RawSubjectPublicKeyInfo)
	if err != nil {
		return nil
	}
	return pub
}

func fingerprint(der []byte) string { return fmt.Sprintf("%X", sha256.Sum256(der)) }

// serialOf is in whole bytes, as certificates have it.
func serialOf(c *x509.Certificate) string {
	if c.SerialNumber.Sign() == 0 {
		return "00"
	}
	return fmt.Sprintf("%X", c.SerialNumber.Bytes())
}

// nameKey shows a public key in an error: its algorithm and the first bytes of
// the SHA-256 of its SubjectPublicKeyInfo.
func nameKey(pub crypto.PublicKey) string {
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return "of an unknown kind"
	}
	sum := sha256.Sum256(der)
	return fmt.Sprintf("%s with the SHA-256 %X…", key.AlgorithmOf(pub), sum[:8])
}
