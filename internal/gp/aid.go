package gp

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// Lengths of an application identifier in bytes (ISO/IEC 7816-5).
const (
	MinAID = 5
	MaxAID = 16
)

// AID is an application identifier of 5 to 16 bytes.
type AID []byte

// ParseAID reads an AID in hexadecimal; spaces and colons between bytes are
// allowed.
func ParseAID(text string) (AID, error) {
	clean := strings.NewReplacer(" ", "", ":", "").Replace(text)
	b, err := hex.DecodeString(clean)
	if err != nil {
		return nil, fmt.Errorf("AID %q is not hexadecimal", text)
	}
	aid := AID(b)
	return aid, aid.Check()
}

// Check reports whether the length is that of an AID.
func (a AID) Check() error {
	if len(a) < MinAID || len(a) > MaxAID {
		return fmt.Errorf("AID %s has %d bytes; an AID has %d to %d", a, len(a), MinAID, MaxAID)
	}
	return nil
}

// Equal reports whether both are the same AID.
func (a AID) Equal(b AID) bool { return bytes.Equal(a, b) }

func (a AID) String() string { return fmt.Sprintf("%X", []byte(a)) }

// MarshalText is the AID in upper-case hexadecimal.
func (a AID) MarshalText() ([]byte, error) { return []byte(a.String()), nil }

// issuerAIDs are the AIDs that issuer security domains are known to have.
func issuerAIDs() []AID {
	return []AID{
		{0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00},                         // GlobalPlatform
		{0xA0, 0x00, 0x00, 0x00, 0x03, 0x00, 0x00, 0x00},                         // Open Platform, VISA
		{0xA0, 0x00, 0x00, 0x00, 0x18, 0x43, 0x4D, 0x00},                         // Gemalto
		{0xA0, 0x00, 0x00, 0x00, 0x18, 0x43, 0x4D},                               // Gemplus
		{0xA0, 0x00, 0x00, 0x00, 0x18, 0x30, 0x03, 0x01, 0, 0, 0, 0, 0, 0, 0, 0}, // Gemalto
	}
}

// IsIssuerAID reports whether an AID, or the beginning of one, is that of issuer
// security domains.
func IsIssuerAID(aid AID) bool {
	return len(aid) >= MinAID+2 && slices.ContainsFunc(issuerAIDs(), func(known AID) bool { return bytes.HasPrefix(known, aid) })
}
