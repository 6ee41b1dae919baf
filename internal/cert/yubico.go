package cert

import (
	"encoding/asn1"
	"encoding/binary"
	"slices"

	"github.com/cardctl/cardctl/internal/ber"
)

// Yubico is the arc of an extension of Yubico's application: the last number of its
// identifier, 1.3.6.1.4.1.41482.APPLICATION.ARC.
func (x Extension) Yubico(application int) (arc int, ok bool) {
	below := asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 41482, application}
	if len(x.ID) != len(below)+1 || !slices.Equal(x.ID[:len(below)], below) {
		return 0, false
	}
	return x.ID[len(below)], true
}

// Bytes are so many bytes as they stand, or in an OCTET STRING.
func (x Extension) Bytes(length int) ([]byte, bool) {
	if len(x.Value) == length {
		return x.Value, true
	}
	e, rest, err := ber.Read(x.Value)
	return e.Content, err == nil && len(rest) == 0 && e.Is(ber.OctetString) && len(e.Content) == length
}

// Number is an INTEGER from 0 to 2^32-1, or four bytes.
func (x Extension) Number() (uint32, bool) {
	const most = 32 // bits
	if e, rest, err := ber.Read(x.Value); err == nil && len(rest) == 0 && e.Is(ber.Integer) {
		n, err := e.Int()
		if err != nil || n.Sign() < 0 || n.BitLen() > most {
			return 0, false
		}
		return uint32(n.Uint64()), true
	}
	if v, ok := x.Bytes(most / 8); ok {
		return binary.BigEndian.Uint32(v), true
	}
	return 0, false
}

// YubicoFormFactor is what a card is, by Yubico's form factors; empty for one that is not
// known.
func YubicoFormFactor(f byte) string {
	const kind = 0x3F // above it, whether it is of a series of its own
	return map[byte]string{
		1: "USB-A keychain", 2: "USB-A nano", 3: "USB-C keychain", 4: "USB-C nano", 5: "USB-C and Lightning",
		6: "USB-A keychain with fingerprint reader", 7: "USB-C keychain with fingerprint reader",
	}[f&kind]
}
