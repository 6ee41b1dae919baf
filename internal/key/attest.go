package key

import (
	"context"
	"crypto"
	"encoding/asn1"
	"fmt"

	"github.com/cardctl/cardctl/internal/secret"
)

// Attester is a key of a card that can make a signed statement about it.
type Attester interface {
	// Attest has the card state what the key is. Nothing of the answer is checked, except
	// that it can be read; what cannot be is a problem.Mismatch. A key that the card does
	// not vouch for is a problem.NotSupported.
	Attest(ctx context.Context) (*Attestation, error)
}

// Overwriter is an Attester whose card writes its statement over the certificate of the
// key.
type Overwriter interface {
	Attester
	// Overwritten is what Attest writes over. A key of which the card makes no statement
	// is a problem.NotSupported or a problem.NotFound, before anybody is asked.
	Overwritten(ctx context.Context) (Overwritten, error)
	// Unlock sends the PIN that Attest needs, and store, if it is not nil: the PIN to
	// write the certificate. It is a problem.Refused if another certificate than
	// Overwritten read is stored by then.
	Unlock(ctx context.Context, store *secret.Bytes) error
}

// Overwritten is what is stored as the certificate of a key before Attest.
type Overwritten struct {
	Certificate []byte // as it is on the card; nil for none
	// Statement says that it is a statement of this card about this key, which another
	// one replaces without a loss.
	Statement bool
}

// Attestation is what a card states of a key.
type Attestation struct {
	// Statement is the certificate that the card made for the key, Issuer that of the key
	// which signed it, as it is on the card, both in DER.
	Statement, Issuer []byte
	// States is what the statement says. Reports is the same as the card reports it
	// elsewhere. What is not told is empty.
	States, Reports Claims
	// Public is the key as the card reports it elsewhere; nil where it does not.
	Public crypto.PublicKey
	// Extensions are those of the card's maker in the statement.
	Extensions []Extension
}

// Claims are facts about a key and its card. Serial is written as Identity has it, Place
// as Reference, the others as Occupant. Fingerprint is empty where it is that of the
// public key alone.
type Claims struct {
	Place, Fingerprint, Serial, Firmware, Origin, PINPolicy, TouchPolicy string
}

// Extension is one of a certificate, in words. Value is empty where it cannot be read.
type Extension struct {
	OID   string `json:"oid"`
	Name  string `json:"name,omitempty"`
	Value string `json:"value,omitempty"`
	Hex   string `json:"hex"` // the value as it is in the certificate, upper-case hex
}

// NewExtension is the extension with this identifier and value.
func NewExtension(oid asn1.ObjectIdentifier, value []byte, name, inWords string) Extension {
	return Extension{OID: oid.String(), Name: name, Value: inWords, Hex: fmt.Sprintf("%X", value)}
}
