package ledger

import (
	"encoding/json"
	"time"

	"github.com/cardctl/cardctl/internal/secret"
)

// CardDocument is a card in JSON. It has no secret: only that there are some.
type CardDocument struct {
	Person       string                `json:"person,omitempty"` // the ID
	Name         string                `json:"name,omitempty"`
	Serial       string                `json:"serial"`
	Family       string                `json:"family,omitempty"`
	State        State                 `json:"state"`
	Since        time.Time             `json:"since"`
	Certificates []CertificateDocument `json:"certificates"`
	Secrets      []SecretDocument      `json:"secrets"`
}

// CertificateDocument is a certificate on a card.
type CertificateDocument struct {
	Ref          string    `json:"ref"`
	Subject      string    `json:"subject,omitempty"`
	Issuer       string    `json:"issuer,omitempty"`
	SerialNumber string    `json:"serialNumber,omitempty"`
	NotAfter     time.Time `json:"notAfter,omitzero"`
	// Key is the SHA-256 of its SubjectPublicKeyInfo, upper-case hex.
	Key     string `json:"key,omitempty"`
	Revoked string `json:"revoked,omitempty"`
}

// SecretDocument is a sealed secret, without its value.
type SecretDocument struct {
	Secret string `json:"secret"`
	Keep   string `json:"keep"`
	// Set says that the card is known to have it.
	Set      bool `json:"set"`
	Revealed bool `json:"revealed"`
	Printed  bool `json:"printed"`
}

// Document is the card in JSON.
func (c *Card) Document() CardDocument {
	d := CardDocument{
		Serial: c.Serial, Family: c.Family, State: c.State, Since: c.Since,
		Certificates: []CertificateDocument{}, Secrets: []SecretDocument{},
	}
	if c.Person != nil {
		d.Person, d.Name = c.Person.ID, c.Person.Name
	}
	for _, k := range c.Credentials {
		d.Certificates = append(d.Certificates, CertificateDocument{k.Ref, k.Subject, k.Issuer, k.SerialNumber, k.NotAfter, k.SPKI, k.Revoked})
	}
	for i := range c.Secrets {
		s := &c.Secrets[i]
		d.Secrets = append(d.Secrets, SecretDocument{SecretName(s.Kind), s.Keep, s.Set, s.Revealed, s.Printed})
	}
	return d
}

// userPIN is what the user PIN is called here: without a card, "pin" may be any.
const userPIN = "user-pin"

// SecretName is what a kind of secret is called on the command line of a ledger.
func SecretName(kind secret.Name) string {
	if kind == secret.PIN {
		return userPIN
	}
	return string(kind)
}

// SecretKind is the kind that a name on the command line means.
func SecretKind(name string) secret.Name {
	if name == userPIN {
		return secret.PIN
	}
	return secret.Name(name)
}

// EventDocument is a record of the log in JSON.
type EventDocument struct {
	Number int64           `json:"number"`
	At     time.Time       `json:"at"`
	Serial string          `json:"serial,omitempty"`
	Person int64           `json:"person,omitempty"` // the ledger's own number
	Data   json.RawMessage `json:"data"`
}

// Document is the record in JSON. What was changed into something that is no JSON is
// shown as text.
func (e *Event) Document() EventDocument {
	data := json.RawMessage(e.Data)
	if !json.Valid(data) {
		data, _ = json.Marshal(string(e.Data)) // a string always can be
	}
	return EventDocument{e.Number, e.At, e.Serial, e.Person, data}
}
