package piv

// Slot is a key reference (part 1, table 4b), or that of Yubico's attestation key.
type Slot byte

// Slots that are for one thing.
const (
	Authentication     Slot = 0x9A
	Signature          Slot = 0x9C
	KeyManagement      Slot = 0x9D
	CardAuthentication Slot = 0x9E
	Attestation        Slot = 0xF9

	// ManagementKey is not a slot: it is the key that the card is managed with.
	ManagementKey = 0x9B

	firstRetired Slot = 0x82
	lastRetired  Slot = 0x95
)

// Slots are all of them: the four of every card, the retired ones, and that of
// attestation.
func Slots() []Slot {
	slots := []Slot{Authentication, Signature, KeyManagement, CardAuthentication}
	for s := firstRetired; s <= lastRetired; s++ {
		slots = append(slots, s)
	}
	return append(slots, Attestation)
}

// Retired reports whether it is one of the twenty for retired keys.
func (s Slot) Retired() bool { return s >= firstRetired && s <= lastRetired }

// Certificate is where the certificate of the key is kept (part 1, table 3).
func (s Slot) Certificate() Object {
	switch s {
	case Authentication:
		return 0x5FC105
	case Signature:
		return 0x5FC10A
	case KeyManagement:
		return 0x5FC10B
	case CardAuthentication:
		return 0x5FC101
	case Attestation:
		return 0x5FFF01
	}
	return 0x5FC10D + Object(s-firstRetired)
}

func (s Slot) String() string {
	switch s {
	case Authentication:
		return "authentication"
	case Signature:
		return "signature"
	case KeyManagement:
		return "key management"
	case CardAuthentication:
		return "card authentication"
	case Attestation:
		return "attestation"
	}
	return "retired key"
}
