package certstore

import (
	"crypto"
	"crypto/sha256"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Certificate is what there is to say of a certificate.
type Certificate struct {
	Subject      string    `json:"subject"`      // RFC 4514
	Issuer       string    `json:"issuer"`       // RFC 4514
	SerialNumber string    `json:"serialNumber"` // upper-case hex, with the sign of a negative one
	NotBefore    time.Time `json:"notBefore"`
	NotAfter     time.Time `json:"notAfter"`
	SHA256       string    `json:"sha256"` // of the DER, upper-case hex
	MatchesKey   bool      `json:"matchesKey"`
	// KeyUnknown says that MatchesKey is not proved: the card does not report its key.
	KeyUnknown bool `json:"keyUnknown,omitempty"`

	// Unreadable says why the other fields are empty, where what is stored is
	// not a certificate.
	Unreadable string `json:"unreadable,omitempty"`

	// Remarks say what is unusual about the certificate: what strict software will
	// reject.
	Remarks []string `json:"remarks,omitempty"`
}

// Describe reads a certificate as it is stored. MatchesKey says whether its
// public key is pub; it is false where pub is nil.
func Describe(der []byte, pub crypto.PublicKey) Certificate {
	c, err := cert.ParseStored(der)
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

func describe(c *cert.Certificate, pub crypto.PublicKey) Certificate {
	return Certificate{
		Subject: c.Subject.String(), Issuer: c.Issuer.String(),
		SerialNumber: c.Serial(), NotBefore: c.NotBefore.UTC(), NotAfter: c.NotAfter.UTC(),
		SHA256: fingerprint(c.Raw), MatchesKey: pub != nil && pubkey.Same(c.PublicKey, pub), Remarks: c.Odd,
	}
}

func fingerprint(der []byte) string { return fmt.Sprintf("%X", sha256.Sum256(der)) }

// nameKey shows a public key in an error: its algorithm and the first bytes of
// the SHA-256 of its SubjectPublicKeyInfo.
func nameKey(pub crypto.PublicKey) string {
	der, err := pubkey.Marshal(pub)
	if err != nil {
		return "of an unknown kind"
	}
	sum := sha256.Sum256(der)
	return fmt.Sprintf("%s with the SHA-256 %X…", key.AlgorithmOf(pub), sum[:8])
}

// InWords names a stored certificate in a question or an error.
func (c Certificate) InWords() string {
	if c.Unreadable != "" {
		return c.Unreadable
	}
	words := fmt.Sprintf("%s, expires on %s", c.Subject, date(c.NotAfter))
	if !c.MatchesKey {
		words += ", not for this key"
	}
	return words
}
