package openpgp

import "github.com/cardctl/cardctl/internal/iso7816"

// Slot is one of the card's three keys, numbered as in the specification.
type Slot int

// The keys of 4.1.
const (
	Signature      Slot = 1
	Decryption     Slot = 2
	Authentication Slot = 3
)

// Slots lists them.
func Slots() [3]Slot { return [3]Slot{Signature, Decryption, Authentication} }

func (s Slot) String() string {
	return [...]string{"signature", "decryption", "authentication"}[s-1]
}

// controlReference is the tag of the slot's control reference template (4.4.3.12).
func (s Slot) controlReference() byte { return [...]byte{0xB6, 0xB8, 0xA4}[s-1] }

// Tags of the data objects of a slot (4.4.1).
func (s Slot) attributesTag() iso7816.Tag  { return 0xC1 + iso7816.Tag(s) - 1 }
func (s Slot) fingerprintTag() iso7816.Tag { return 0xC7 + iso7816.Tag(s) - 1 }
func (s Slot) createdTag() iso7816.Tag     { return 0xCE + iso7816.Tag(s) - 1 }
func (s Slot) interactionTag() iso7816.Tag { return 0xD6 + iso7816.Tag(s) - 1 }

// occurrence is the place of the slot's certificate among those of DO 7F21:
// the first is that of the authentication key (4.4.3.1).
func (s Slot) occurrence() int { return int(Authentication - s) }

// password is the one that allows the slot's private key to be used (7.2.2).
func (s Slot) password() PasswordRef {
	if s == Signature {
		return PW1Sign
	}
	return PW1
}
