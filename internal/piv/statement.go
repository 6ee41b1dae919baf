package piv

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/cardctl/cardctl/internal/cert"
)

// Statement is what a certificate of Attest says, by Yubico's "PIV attestation". Parts
// that are missing, or cannot be read, are zero.
type Statement struct {
	*cert.Certificate
	Slot     Slot // in the name of the subject
	Firmware Firmware
	// Numbered says that there is a Serial.
	Numbered   bool
	Serial     uint32
	PIN        PINPolicy
	Touch      TouchPolicy
	FormFactor byte
	// Certified are the programmes for which the card is certified.
	Certified []string
}

// The last arcs of Yubico's extensions.
const (
	arcFirmware   = 3
	arcSerial     = 7
	arcPolicies   = 8
	arcFormFactor = 9
	arcFIPS       = 10
	arcCSPN       = 11
)

// application is PIV among Yubico's extensions.
const application = 3

// ExtensionName is what an extension of Yubico's for PIV says; false for another extension.
// The name is empty where it is not known.
func ExtensionName(x cert.Extension) (name string, ok bool) {
	arc, ok := x.Yubico(application)
	return map[int]string{
		arcFirmware: "firmware", arcSerial: "serial", arcPolicies: "policies", arcFormFactor: "form factor", arcFIPS: "FIPS", arcCSPN: "CSPN",
	}[arc], ok
}

// ParseStatement reads a statement of Attest. Most of Yubico's extensions hold plain bytes,
// which some cards wrap into an OCTET STRING; a serial is an INTEGER, or four bytes.
func ParseStatement(der []byte) (*Statement, error) {
	certificate, err := cert.Parse(der)
	if err != nil {
		return nil, fmt.Errorf("%w: statement: %v", ErrMalformed, err)
	}
	s := &Statement{Certificate: certificate, Slot: slotNamed(certificate.Subject)}
	for _, x := range certificate.Extensions {
		arc, ours := x.Yubico(application)
		if !ours {
			continue
		}
		switch arc {
		case arcFirmware:
			if v, ok := x.Bytes(len(s.Firmware)); ok {
				s.Firmware = Firmware(v)
			}
		case arcSerial:
			s.Serial, s.Numbered = x.Number()
		case arcPolicies:
			if v, ok := x.Bytes(2); ok {
				s.PIN, s.Touch = PINPolicy(v[0]), TouchPolicy(v[1])
			}
		case arcFormFactor:
			if v, ok := x.Bytes(1); ok {
				s.FormFactor = v[0]
			}
		case arcFIPS, arcCSPN:
			name, _ := ExtensionName(x) // which has one
			s.Certified = append(s.Certified, name)
		}
	}
	return s, nil
}

// slotNamed reads the slot at the end of a subject such as CN=YubiKey PIV Attestation 9a;
// 0 where there is none.
func slotNamed(subject cert.Name) Slot {
	words := strings.Fields(subject.CommonName())
	if len(words) < 2 || !strings.EqualFold(words[len(words)-2], "attestation") {
		return 0
	}
	n, err := strconv.ParseUint(words[len(words)-1], 16, 8)
	if err != nil {
		return 0
	}
	return Slot(n)
}
