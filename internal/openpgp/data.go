package openpgp

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// ApplicationRelatedData is DO 6E, with the discretionary data objects 73 in
// it (4.4.1).
type ApplicationRelatedData struct {
	AID        ApplicationID
	Historical []byte
	Extended   ExtendedCapabilities
	Passwords  PasswordStatus
	Keys       [3]KeyData // in the order of the slots
	// Attestation is the flag of the attestation key; nil where the card tells none.
	Attestation *Interaction
	lengths     iso7816.Capabilities
}

// Key is what the card says of one slot.
func (d *ApplicationRelatedData) Key(s Slot) *KeyData { return &d.Keys[s-1] }

// Capabilities is how long commands may travel, from the historical bytes and
// the extended length information.
func (d *ApplicationRelatedData) Capabilities() iso7816.Capabilities {
	can := iso7816.CapabilitiesOf(d.Historical)
	can.MaxCommand, can.MaxAnswer = d.lengths.MaxCommand, d.lengths.MaxAnswer
	return can
}

// CertificateSlots reports whether the card has a place for a certificate of
// the slot: one for each key since version 3.0, before that one for the
// authentication key (4.4.3.1).
func (d *ApplicationRelatedData) HasCertificate(s Slot) bool {
	return s == Authentication || d.AID.Version() >= 0x0300
}

// LifeCycle reports whether TERMINATE DF and ACTIVATE FILE are supported: the
// status indicator of the historical bytes is 3 or 5 then (6.1).
func (d *ApplicationRelatedData) LifeCycle() bool {
	n := len(d.Historical)
	return n >= 3 && d.Historical[0] == 0 && (d.Historical[n-3] == 0x03 || d.Historical[n-3] == 0x05)
}

// KeyState is what the card tells in DO DE about a key (4.4.3.8).
type KeyState int

// The states of a key; a card before version 3.3 tells none.
const (
	KeyStateUnknown KeyState = iota
	KeyAbsent
	KeyGenerated
	KeyImported
)

// KeyData is what DO 73 holds for one slot.
type KeyData struct {
	Attributes  Attributes
	Fingerprint [20]byte  // zero where none is stored
	Created     time.Time // zero where none is stored
	State       KeyState
	Interaction *Interaction // nil where the card tells none
}

// Touch reports whether somebody has to press a button to use the key.
func (k *KeyData) Touch() bool { return k.Interaction.Touch() }

// ExtendedCapabilities is DO C0 (4.4.3.7), 10 bytes.
type ExtendedCapabilities struct {
	KeyImport            bool
	PasswordStatus       bool // DO C4 may be changed
	AlgorithmsChangeable bool
	KDF                  bool
	MSE                  bool // MANAGE SECURITY ENVIRONMENT for keys 2 and 3
	MaxCertificate       int  // bytes, 0 where it is not told
	MaxObject            int  // bytes of an object without a length of its own, 0 where it is not told
}

// PasswordStatus is DO C4 (4.4.3.5), 7 bytes.
type PasswordStatus struct {
	// Several signatures are allowed after one verification of PW1.
	Several bool
	PW1     Password
	RC      Password
	PW3     Password
}

// Password is the state of one password. Lengths are in bytes. Where the card
// does not tell them, Known is false.
type Password struct {
	MaxLength int
	TriesLeft int
	Known     bool
}

// Status returns the part for one password.
func (s *PasswordStatus) Status(ref PasswordRef) Password {
	switch ref {
	case PW3:
		return s.PW3
	case ResettingCode:
		return s.RC
	default:
		return s.PW1
	}
}

// ParseApplicationRelatedData reads the answer to GET DATA 6E. A part that is not
// there, or is not what it should be, hides no other: it is not known then. Only
// the application identifier has to be there.
func ParseApplicationRelatedData(raw []byte) (*ApplicationRelatedData, error) {
	objects := map[iso7816.Tag][]byte{}
	for _, part := range []iso7816.Tag{0x6E, 0x73} {
		if part == 0x73 {
			raw = objects[0x73]
		}
		list, err := iso7816.ParseTLVs(template(raw, part))
		if err != nil {
			return nil, fmt.Errorf("%w: application related data: %w", ErrMalformed, err)
		}
		for _, object := range list {
			objects[object.Tag] = object.Value
		}
	}
	d := &ApplicationRelatedData{Historical: objects[0x5F52]}
	var err error
	if d.AID, err = ParseApplicationID(objects[0x4F]); err != nil {
		return nil, err
	}
	d.parseCapabilities(objects[0xC0], objects[0x7F66])
	d.Passwords, _ = ParsePasswordStatus(objects[0xC4])
	d.Attestation = parseInteraction(objects[attestationInteraction])
	for _, slot := range Slots() {
		d.Key(slot).parse(slot, objects)
	}
	return d, nil
}

// parseCapabilities reads DO C0, whose last four bytes version 3 uses
// otherwise than version 2, and DO 7F66, which version 3 has for them.
func (d *ApplicationRelatedData) parseCapabilities(c0, lengths []byte) {
	if len(c0) < 10 {
		return
	}
	d.Extended = ExtendedCapabilities{
		KeyImport:            c0[0]&0x20 != 0,
		PasswordStatus:       c0[0]&0x10 != 0,
		AlgorithmsChangeable: c0[0]&0x04 != 0,
		KDF:                  c0[0]&0x01 != 0,
		MaxCertificate:       int(binary.BigEndian.Uint16(c0[4:6])),
	}
	if d.AID.Version() < 0x0300 {
		d.Extended.KDF = false
		d.Extended.MaxObject = 254
		d.lengths.MaxCommand = int(binary.BigEndian.Uint16(c0[6:8]))
		d.lengths.MaxAnswer = int(binary.BigEndian.Uint16(c0[8:10]))
		return
	}
	d.Extended.MSE = c0[9] == 1
	d.Extended.MaxObject = int(binary.BigEndian.Uint16(c0[6:8]))
	list, err := iso7816.ParseTLVs(lengths)
	if err != nil || len(list) < 2 || len(list[0].Value) != 2 || len(list[1].Value) != 2 {
		return // optional, and only a hint
	}
	d.lengths.MaxCommand = int(binary.BigEndian.Uint16(list[0].Value))
	d.lengths.MaxAnswer = int(binary.BigEndian.Uint16(list[1].Value))
}

// ParsePasswordStatus reads DO C4.
func ParsePasswordStatus(c4 []byte) (PasswordStatus, error) {
	if len(c4) < 7 {
		return PasswordStatus{}, fmt.Errorf("%w: %d bytes of password status", ErrMalformed, len(c4))
	}
	const lengthBits = 0x7F // the high bit tells the PIN block format
	password := func(i int) Password { return Password{int(c4[1+i] & lengthBits), int(c4[4+i]), true} }
	return PasswordStatus{Several: c4[0] != 0, PW1: password(0), RC: password(1), PW3: password(2)}, nil
}

func (k *KeyData) parse(slot Slot, objects map[iso7816.Tag][]byte) {
	i := int(slot) - 1
	k.Attributes, _ = ParseAttributes(objects[slot.attributesTag()])
	if all := objects[0xC5]; len(all) >= 20*(i+1) {
		copy(k.Fingerprint[:], all[20*i:])
	}
	if all := objects[0xCD]; len(all) >= 4*(i+1) {
		if seconds := binary.BigEndian.Uint32(all[4*i:]); seconds != 0 {
			k.Created = time.Unix(int64(seconds), 0).UTC()
		}
	}
	for all := objects[0xDE]; len(all) >= 2; all = all[2:] {
		if all[0] == byte(slot) && all[1] <= 2 {
			k.State = KeyAbsent + KeyState(all[1])
		}
	}
	k.Interaction = parseInteraction(objects[slot.interactionTag()])
}
