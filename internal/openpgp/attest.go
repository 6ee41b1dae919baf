package openpgp

import (
	"context"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/iso7816"
)

// Data objects of the attestation key, by Yubico's "OpenPGP attestation".
const (
	attestationCertificate iso7816.Tag = 0xFC
	attestationInteraction iso7816.Tag = 0xD9
)

// MayAttest reports whether the card may have Attest: YubiKeys do, since firmware 5.2.
func (d *ApplicationRelatedData) MayAttest() bool { return d.AID.Manufacturer() == yubico }

// AttestationCertificate is that of the key which signs what Attest states, in DER; nil
// on a card without one.
func (c *Card) AttestationCertificate(ctx context.Context) ([]byte, error) {
	value, err := c.optional(ctx, attestationCertificate)
	return template(value, attestationCertificate), err
}

// Attest is Yubico's ATTEST, after PW1 was verified as PW1Sign: the card writes a signed
// certificate of a key that was made on it over the certificate of the key.
func (c *Card) Attest(ctx context.Context, slot Slot) error {
	const classOfYubico, attest = 0x80, 0xFB
	c.current = unknown
	_, err := c.ch.Send(ctx, iso7816.Command{CLA: classOfYubico, INS: attest, P1: byte(slot)})
	return err
}

// Statement is what a certificate of Attest says. Parts that are missing, or cannot be
// read, are zero.
type Statement struct {
	*cert.Certificate
	Slot       Slot // in the name of the subject
	Cardholder string
	// Source is whether the card made the key.
	Source      KeyState
	Firmware    string // such as 5.4.3
	Fingerprint [20]byte
	Created     time.Time
	// Counted says that there is SignatureCount, Numbered that there is Serial.
	Counted, Numbered      bool
	SignatureCount, Serial uint32
	Interaction            *Interaction
	FormFactor             byte
}

// application is OpenPGP among Yubico's extensions.
const application = 5

// The last arcs of Yubico's extensions.
const (
	arcCardholder  = 1
	arcSource      = 2
	arcFirmware    = 3
	arcFingerprint = 4
	arcCreated     = 5
	arcCounter     = 6
	arcSerial      = 7
	arcInteraction = 8
	arcFormFactor  = 9
	arcFIPS        = 10
	arcCSPN        = 11
)

// ExtensionName is what an extension of Yubico's for OpenPGP says; false for another
// extension. The name is empty where it is not known.
func ExtensionName(x cert.Extension) (name string, ok bool) {
	arc, ok := x.Yubico(application)
	return map[int]string{
		arcCardholder: "cardholder", arcSource: "source", arcFirmware: "firmware", arcFingerprint: "key", arcCreated: "created",
		arcCounter: "signature count", arcSerial: "serial", arcInteraction: "touch", arcFormFactor: "form factor", arcFIPS: "FIPS", arcCSPN: "CSPN",
	}[arc], ok
}

// ParseStatement reads a certificate of Attest.
func ParseStatement(der []byte) (*Statement, error) {
	certificate, err := cert.ParseStored(der)
	if err != nil {
		return nil, fmt.Errorf("%w: statement: %v", ErrMalformed, err)
	}
	s := &Statement{Certificate: certificate}
	for _, slot := range Slots() {
		if certificate.Subject.CommonName() == "YubiKey OPGP Attestation "+[...]string{"SIG", "DEC", "AUT"}[slot-1] {
			s.Slot = slot
		}
	}
	for _, x := range certificate.Extensions {
		if arc, ours := x.Yubico(application); ours {
			s.read(arc, x)
		}
	}
	return s, nil
}

func (s *Statement) read(arc int, x cert.Extension) {
	switch arc {
	case arcCardholder:
		if e, rest, err := ber.Read(x.Value); err == nil && len(rest) == 0 {
			s.Cardholder, _, _ = cert.Text(e)
		}
	case arcSource:
		switch n, ok := x.Number(); {
		case ok && n == 0:
			s.Source = KeyImported
		case ok && n == 1:
			s.Source = KeyGenerated
		}
	case arcFirmware:
		if v, ok := x.Bytes(3); ok {
			s.Firmware = fmt.Sprintf("%d.%d.%d", v[0], v[1], v[2])
		}
	case arcFingerprint:
		if v, ok := x.Bytes(len(s.Fingerprint)); ok {
			s.Fingerprint = [20]byte(v)
		}
	case arcCreated:
		if v, ok := x.Bytes(4); ok && binary.BigEndian.Uint32(v) != 0 {
			s.Created = time.Unix(int64(binary.BigEndian.Uint32(v)), 0).UTC()
		}
	case arcCounter:
		s.SignatureCount, s.Counted = x.Number()
	case arcSerial:
		s.Serial, s.Numbered = x.Number()
	case arcInteraction:
		if v, ok := x.Bytes(1); ok {
			s.Interaction = parseInteraction(v)
		}
	case arcFormFactor:
		if v, ok := x.Bytes(1); ok {
			s.FormFactor = v[0]
		}
	}
}

// Number is how the card's serial stands in a statement: YubiKeys write it in decimal
// digits into the application identifier; one with others is a binary number there.
func (a ApplicationID) Number() uint32 {
	n := uint32(0)
	for _, b := range a[10:14] {
		if b>>4 > 9 || b&0x0F > 9 {
			return binary.BigEndian.Uint32(a[10:14])
		}
		n = n*100 + uint32(b>>4)*10 + uint32(b&0x0F)
	}
	return n
}
