// Package plan reads plans: what cards of a kind are to be, in YAML, and the rows of a
// table with a person or a card each. It puts the columns of a row into the values of a
// plan, which are parsed before: a column never adds a part to a name, a field, or a word
// to a command. No card is reached, no file is read and nothing is run here.
package plan

import (
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/secret"
)

// Plan is what a card is to be. A field has the name of the flag of the command that does
// the same to one card, in camelCase; docs/plans.md lists them.
//
// What the tags say: row is how a column may stand in a value (see kinds of columns in
// template.go), words names a vocabulary (see words.go), min and max are limits, and need
// is a field that has to be given.
type Plan struct {
	// Schema is cardctl/v1, and Kind is Plan.
	Schema string `yaml:"schema" words:"schema" need:"yes" about:"version of the format, cardctl/v1"`
	Kind   string `yaml:"kind" words:"kind" need:"yes" about:"kind of the document, Plan"`

	Person Person `yaml:"person" about:"who gets the card"`
	// Columns are other names for columns of the rows: the name in this plan, then the one
	// in the header, which may have blanks and any other characters.
	Columns map[string]string `yaml:"columns" about:"other names for columns: the name in the plan, then the one in the header"`

	Card          Card           `yaml:"card" about:"the card, and what is set with it"`
	Applet        *Applet        `yaml:"applet" about:"the applet that the card gets first"`
	PINs          PINs           `yaml:"pins" about:"the PINs that the card has afterwards"`
	ManagementKey *ManagementKey `yaml:"managementKey" about:"the management key that the card has afterwards"`
	Holder        *Holder        `yaml:"holder" about:"what the card reports about the person it belongs to"`
	Keys          []Key          `yaml:"keys" about:"the keys, in the order in which they are generated"`

	// Issuers are by the name that certificates refer to.
	Issuers map[string]Issuer `yaml:"issuers" about:"issuers of certificates, by the names that keys refer to"`
	// Seal are the recipients that can read generated secrets: age keys, or those of a
	// plugin.
	Seal      []string   `yaml:"seal" pattern:"^age1[a-z0-9]+$" about:"who can read the generated secrets in the ledger: age keys, or recipients of a plugin"`
	SmokeTest *SmokeTest `yaml:"smokeTest" about:"the test at the end of a card"`

	content   []byte // as JSON, with fields in alphabetical order
	places    map[string]Place
	sources   map[string]string   // texts of sources, by their fields
	templates map[string]template // of values with columns
	shapes    map[string][]string // of distinguished names with columns
	used      []string            // columns
}

// Person is who gets a card.
type Person struct {
	// ID is who somebody is: no other has it, and a person has the same in each table.
	ID   string `yaml:"id" row:"text" about:"who somebody is, such as a mail address; unique, and the same in each table"`
	Name string `yaml:"name" row:"text" about:"name of the person"`
}

// When a card is initialised.
const (
	InitNever   = "never"
	InitIfBlank = "if-blank"
	InitAlways  = "always"
)

// Card is what a card is, and what is set when it is initialised.
type Card struct {
	// Application is the word for its family; empty if the keys tell it. If it is a column,
	// a row gets what of the plan is for its family.
	Application string `yaml:"application" row:"text" about:"application to use; if it is a column, a card gets the keys and PINs that are for its application"`
	// Init is one of the words above; empty for if-blank.
	Init string `yaml:"init" words:"init" about:"when the card is initialised (default if-blank)"`
	// Serial is the card that the row is for; empty for any.
	Serial string `yaml:"serial" row:"optional" about:"serial of the card that the row is for; if it is empty, any card"`
	// Module and Token are a PKCS#11 module, and a token in it by its label or URI.
	Module string `yaml:"module" about:"PKCS#11 module: a path, or a name such as opensc"`
	Token  string `yaml:"token" row:"text" about:"label or URI of a token"`

	// Label, FactoryPINs, KDF and the tries (1 to 255) are for the card when it is
	// initialised. KDF is nil, and the tries are 0, to leave them as the card has them.
	Label       string `yaml:"label" row:"text" about:"label of the token"`
	FactoryPINs bool   `yaml:"factoryPins" about:"keep the factory PINs"`
	KDF         *bool  `yaml:"kdf" about:"send PINs to the card only in derived form"`
	PINTries    int    `yaml:"pinTries" min:"1" max:"255" about:"number of tries of the user PIN"`
	PUKTries    int    `yaml:"pukTries" min:"1" max:"255" about:"number of tries of the PUK"`

	// AllowLastTry and AllowUnknownTries allow to send a PIN although one try is left, or
	// although the tries left are unknown.
	AllowLastTry      bool `yaml:"allowLastTry" about:"send a PIN even if only one try is left"`
	AllowUnknownTries bool `yaml:"allowUnknownTries" about:"send a PIN even if the tries left are unknown"`
}

// PINs are those that the card has afterwards; nil for one that is left as it is.
type PINs struct {
	User      *Secret `yaml:"user" about:"user PIN"`
	Admin     *Secret `yaml:"admin" about:"admin PIN"`
	PUK       *Secret `yaml:"puk" about:"PUK, or unblock code"`
	SO        *Secret `yaml:"so" about:"SO PIN"`
	ResetCode *Secret `yaml:"resetCode" about:"resetting code"`
}

// Secret is a secret that the card has afterwards. In a plan it is a source alone, or
// these fields. Either Source or Generate is set, or only Current.
type Secret struct {
	// Source is where the secret comes from.
	Source Source `yaml:"source" about:"source of the secret"`
	// Generate is how it is generated; nil for a Source.
	Generate *Generate `yaml:"generate" about:"generate it: N digits, or N letters"`
	// Keep is where a generated secret is kept.
	Keep string `yaml:"keep" words:"keep" about:"where a generated secret is kept"`
	// Current is the source of what the card has now; zero for the factory's, or for what
	// the ledger knows.
	Current Source `yaml:"current" about:"source of the secret that the card has now (default: that of the ledger, or the factory value)"`
}

// Where a generated secret is kept, always sealed.
const (
	KeepLetter = "letter" // until the letter to the person is printed
	KeepLedger = "ledger" // as long as the card has it
	KeepBoth   = "both"
)

// Letter reports whether the secret is printed in a letter.
func (s *Secret) Letter() bool { return s.Keep == KeepLetter || s.Keep == KeepBoth }

// Ledger reports whether the ledger keeps the secret as long as the card has it.
func (s *Secret) Ledger() bool { return s.Keep == KeepLedger || s.Keep == KeepBoth }

// Source is where a secret comes from, or a word for a secret that everybody or the card
// knows. The zero value is none.
type Source struct {
	secret.Source
	// Word is secret.FactoryValue or secret.StoredOnCard; then Source is zero.
	Word string
}

// IsZero reports whether there is no source.
func (s Source) IsZero() bool { return s == Source{} }

// What is generated.
const (
	Digits             = "digits"
	Letters            = "letters"
	ManagementKeyBytes = "management-key"
	CardKeyBytes       = "card-keys"
)

// Generate is how a secret is generated.
type Generate struct {
	// Of is one of the words above. Count is how many digits or letters, MinCount to
	// MaxCount; 0 for keys, whose length the card decides.
	Of    string
	Count int
}

// Limits of Generate.Count. What the card takes, its family knows.
const (
	MinCount = 4
	MaxCount = 64
)

// ManagementKey is the management key that a card has afterwards. Exactly one of Source,
// Generate and Protect is set, or only Current.
type ManagementKey struct {
	Source   Source    `yaml:"source" sources:"default" about:"source of the new key, or default"`
	Generate *Generate `yaml:"generate" generate:"management-key" about:"generate it: management-key"`
	Keep     string    `yaml:"keep" words:"keep" about:"where a generated key is kept"`
	// Protect has a random key stored on the card, where the PIN opens it.
	Protect bool `yaml:"protect" about:"store a random key on the card, where the PIN opens it"`
	// Current is what the card has now; zero for the factory's, or what the ledger knows.
	Current   Source `yaml:"current" sources:"default protected" about:"the key that the card has now: a source, default or protected"`
	Algorithm string `yaml:"algorithm" words:"managementKeyAlgorithm" about:"algorithm of the new key (default: by its length)"`
	Touch     bool   `yaml:"touch" about:"require a touch of the card for each use of the new key"`
}

// Holder is what a card reports about the person it belongs to; nil leaves a part as it
// is, and an empty one removes it.
type Holder struct {
	Name     *string `yaml:"name" row:"optional" about:"name of the cardholder"`
	Login    *string `yaml:"login" row:"optional" about:"login name"`
	URL      *string `yaml:"url" row:"optional" about:"URL of the public key"`
	Language *string `yaml:"language" row:"optional" about:"preferred languages, such as de,en"`
	Sex      *string `yaml:"sex" row:"optional" about:"male, female, unknown or unspecified"`
}

// Applet is the applet that a card gets first.
type Applet struct {
	// File is a CAP or IJC file; or Package is the AID of a package on the card.
	File    string `yaml:"file" about:"CAP or IJC file"`
	Package string `yaml:"package" row:"hex" about:"AID of a package on the card, instead of a file"`
	// Applets and Instances are AIDs in hex.
	Applets   []string `yaml:"applet" row:"hex" about:"AIDs of applets in the file"`
	Instances []string `yaml:"instance" row:"hex" about:"AIDs of the installed applets (default: those in the file, with a serial of its own for each OpenPGP card)"`
	// Parameters are the value of C9, RawParameters the whole field, both in hex.
	Parameters    string `yaml:"parameters" row:"hex" about:"the applet's own install parameters, in hex"`
	RawParameters string `yaml:"rawParameters" row:"hex" about:"the whole install parameters field, in hex"`
	Privileges    string `yaml:"privileges" about:"names of the applet's privileges, with commas between them"`
	Memory        string `yaml:"memory" about:"memory limits in bytes: code=N,data=N,volatile=N"`
	LoadHash      string `yaml:"loadHash" words:"loadHash" about:"hash of the load file that is sent"`
	// BlockSize is in bytes; 0 for as many as fit.
	BlockSize int  `yaml:"blockSize" min:"48" max:"65535" about:"most bytes of data per LOAD command"`
	LoadOnly  bool `yaml:"loadOnly" about:"load the package and install nothing from it"`
	Replace   bool `yaml:"replace" about:"first delete the package and everything installed from it"`

	// CardKeys are those that the card has now.
	CardKeys        Source `yaml:"cardKeys" sources:"default" about:"source of the card keys, or default for the test keys of blank cards"`
	ISD             string `yaml:"isd" about:"AID of the security domain (default: the issuer's)"`
	KeyVersion      int    `yaml:"keyVersion" min:"1" max:"255" about:"version of the card keys"`
	KeyIndex        int    `yaml:"keyIndex" min:"1" max:"255" about:"index of the card keys"`
	Diversification string `yaml:"diversification" words:"diversification" about:"method that derives the card keys from master keys"`
	SecurityLevel   string `yaml:"securityLevel" about:"level of the secure channel, in the words of applet install (default c-mac)"`
	RetryKeys       bool   `yaml:"retryKeys" about:"try keys even though some have failed on this card"`
	AnyChallenge    bool   `yaml:"acceptRandomChallenge" about:"accept an SCP03 card challenge that is not the computed one"`

	// NewCardKeys are those that the card has afterwards; nil to leave them.
	NewCardKeys *NewCardKeys `yaml:"newCardKeys" about:"the card keys that the card has afterwards"`
}

// NewCardKeys are card keys that a card has afterwards. Either Source or Generate is set.
type NewCardKeys struct {
	Source   Source    `yaml:"source" sources:"default" about:"source of the new card keys, or default"`
	Generate *Generate `yaml:"generate" generate:"card-keys" about:"generate them: card-keys"`
	Keep     string    `yaml:"keep" words:"keep" about:"where generated keys are kept"`
	// Version is 1 to 127; 0 for that of the old keys.
	Version int    `yaml:"newKeyVersion" min:"1" max:"127" about:"version of the new keys (default: that of the old keys)"`
	Type    string `yaml:"type" words:"cardKeyType" about:"type of the new keys (default: that of the secure channel)"`
	Add     bool   `yaml:"add" about:"keep the old keys on the card next to the new ones"`
}

// Key is a key that a card has afterwards.
type Key struct {
	// Ref is its reference.
	Ref string `yaml:"ref" need:"yes" about:"reference of the key, such as OPENPGP.3"`
	// Algorithm is empty for the card's choice.
	Algorithm string   `yaml:"algorithm" words:"algorithm" about:"algorithm (default p256 if the card supports it, otherwise rsa2048)"`
	Usage     []string `yaml:"usage" words:"usage" about:"what the key may be used for"`
	// Label and ID, in hex, name it if keys have names.
	Label string `yaml:"label" row:"text" about:"label of the key"`
	ID    string `yaml:"id" row:"hex" about:"ID of the key in hex, on a PKCS#11 token"`
	// PINPolicy and Touch are when a use of the key needs the PIN or a touch.
	PINPolicy string `yaml:"pinPolicy" words:"pinPolicy" about:"when the key needs the PIN"`
	Touch     string `yaml:"touch" words:"touch" about:"when the key needs a touch, in the words of gen-key for PIV cards, and of set-touch for OpenPGP cards"`
	// Certificate is nil for none.
	Certificate *Certificate `yaml:"certificate" about:"the certificate of the key"`
}

// Certificate is what is asked for of an issuer.
type Certificate struct {
	Subject     string   `yaml:"subject" row:"name" about:"distinguished name, RFC 4514 or /C=…/CN=…"`
	Emails      []string `yaml:"email" row:"item" about:"mail addresses for subjectAltName"`
	DNS         []string `yaml:"dns" row:"item" about:"host names for subjectAltName"`
	IPs         []string `yaml:"ip" row:"item" about:"IP addresses for subjectAltName"`
	URIs        []string `yaml:"uri" row:"item" about:"URIs for subjectAltName"`
	UPNs        []string `yaml:"upn" row:"item" about:"user principal names for subjectAltName"`
	SID         string   `yaml:"sid" row:"optional" about:"security identifier of a Windows account: S-1-…"`
	KeyUsage    []string `yaml:"keyUsage" about:"key usages by name: digitalSignature, …"`
	ExtKeyUsage []string `yaml:"extKeyUsage" about:"extended key usages by name or OID: clientAuth, …"`
	Extensions  []string `yaml:"extension" about:"additional extensions, OID=HEX or OID=critical,HEX"`
	Digest      string   `yaml:"digest" words:"digest" about:"digest of the signature"`
	PSS         bool     `yaml:"pss" about:"sign with RSASSA-PSS"`
	// ChallengePassword becomes part of the request.
	ChallengePassword Source `yaml:"challengePassword" about:"source of the challenge password, which becomes part of the request"`

	// Issuer is a name of Plan.Issuers; or the certificate is SelfSigned.
	Issuer     string `yaml:"issuer" about:"name of the issuer"`
	SelfSigned bool   `yaml:"selfSigned" about:"a self-signed certificate, without an issuer"`
	// Days is the validity; 0 for the issuer's choice.
	Days int `yaml:"days" min:"1" max:"36500" about:"validity in days, if the issuer lets it be chosen"`
	// RenewBefore is how long before its end a certificate is renewed; 0 for not.
	RenewBefore time.Duration `yaml:"renewBefore" about:"time before its end when a certificate is renewed, such as 30d"`
	// NewKey generates another key for a renewal, which AuthKey, the reference of another
	// key of the card, authenticates.
	NewKey      bool   `yaml:"newKey" about:"generate a new key for a renewal, which replaces the existing one"`
	AuthKey     string `yaml:"authKey" about:"reference of another key of the card that authenticates a renewal"`
	AcceptNames bool   `yaml:"acceptNames" about:"take a certificate with another subject than asked for"`
	KeepCHUID   bool   `yaml:"keepChuid" about:"keep the CHUID of a PIV card"`
	NewCHUID    bool   `yaml:"newChuid" about:"renew the CHUID of a PIV card in any case"`
}

// Issuer is who certifies keys.
type Issuer struct {
	// URL is its address. Columns can stand in its user and in the values of its
	// parameters, unless it is a directory or a command: a command gets the columns in its
	// environment.
	URL    string `yaml:"url" row:"parameter" need:"yes" about:"address of the issuer"`
	Secret Source `yaml:"secret" about:"source of the password, token or key that the issuer asks for"`
	// CA is a file with the CA that the issuer has to be, or be certified by.
	CA string `yaml:"ca" about:"file with the CA that the issuer has to be, or be certified by"`
	// Key, Reader, Serial and PIN are the card of the CA or the officer.
	Key    string `yaml:"key" about:"reference of the officer's key, if the issuer asks for one"`
	Reader string `yaml:"reader" about:"reader with the card of the issuer"`
	Serial string `yaml:"serial" about:"serial of the card of the issuer"`
	PIN    Source `yaml:"pin" about:"source of the user PIN of the card of the issuer"`
}

// SmokeTest is the test at the end of a card.
type SmokeTest struct {
	// Module is a PKCS#11 module; empty for that of Card, or else OpenSC's.
	Module string `yaml:"module" about:"PKCS#11 module: a path, or a name such as opensc"`
	// Keys are references of keys of the plan; empty for all.
	Keys []string `yaml:"key" about:"references of the keys to test (default: all)"`
	TLS  bool     `yaml:"tls" about:"add TLS handshakes on loopback"`
	// As are libraries; empty for all.
	As []string `yaml:"as" words:"library" about:"libraries that the TLS handshakes are made with (default: all)"`
	// TLSConnect is HOST:PORT; Chain and CA are files.
	TLSConnect string `yaml:"tlsConnect" about:"add a TLS handshake with HOST:PORT"`
	Chain      string `yaml:"chain" about:"file with issuer certificates to send in TLS"`
	CA         string `yaml:"ca" about:"file with the CA certificate of the server of tlsConnect"`
}

// Place is where something stands in the text of a plan, both from 1; 0 if it does not.
type Place struct{ Line, Column int }

// Place is where a field stands in the text of the plan: keys[0].certificate.subject. If
// it is not written, that is where the one around it stands.
func (p *Plan) Place(field string) Place {
	for field != "" && p.places[field].Line == 0 {
		field = field[:max(0, strings.LastIndexAny(field, ".["))]
	}
	return p.places[field]
}
