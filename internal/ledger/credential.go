package ledger

import (
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/chain"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// CredentialOf is what is kept of a certificate, in DER. What cannot be read is on the
// card all the same: then only its bytes are kept.
func CredentialOf(ref string, der []byte) Credential {
	kept := Credential{Ref: ref, Certificate: der}
	c, err := cert.Parse(der)
	if err != nil {
		return kept
	}
	kept.Issuer, kept.Subject = c.Issuer.String(), c.Subject.String()
	kept.SerialNumber, kept.NotAfter = c.Serial(), c.NotAfter
	kept.SPKI = pubkey.Fingerprint(c.PublicKey)
	return kept
}

// selfSigned reports whether a certificate was signed by its own key. One that the ledger
// does not have any more was not.
func (k *Credential) selfSigned() bool {
	c, err := cert.ParseStored(k.Certificate)
	return err == nil && chain.SelfSigned(c)
}
