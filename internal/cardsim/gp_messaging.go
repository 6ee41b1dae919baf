package cardsim

import "github.com/cardctl/cardctl/internal/iso7816"

// securityLevel is what a session protects (Card Specification 2.3.1, 10.6).
type securityLevel byte

const (
	levelMAC                securityLevel = 0x01
	levelDecryption         securityLevel = 0x02
	levelResponseMAC        securityLevel = 0x10
	levelResponseEncryption securityLevel = 0x20
)

// messaging is the session keys of a secure channel, and what they do.
type messaging interface {
	// cryptogram authenticates the card to the host or the host to the card.
	cryptogram(host bool) []byte

	// unwrap checks the C-MAC of a command and takes the protection away. ok
	// is false where it is not right.
	unwrap(c iso7816.Command, level securityLevel) (plain iso7816.Command, ok bool)

	// wrap protects the answer to a command that stands as unwrap left it.
	wrap(plain iso7816.Command, data []byte, status iso7816.Status, level securityLevel) []byte

	// decryptKey deciphers a key that PUT KEY brought; nil where its length
	// is wrong.
	decryptKey(data []byte) []byte
}

// macInput is the header and the length that a MAC is over: the length with
// that of the MAC, in three bytes where it needs an extended APDU.
func macInput(c iso7816.Command, length int) []byte {
	return macInputs(c, length)[0]
}

// macInputs are macInput and, for a short length, the other coding of it: hosts
// may send little data in an extended APDU too.
func macInputs(c iso7816.Command, length int) [][]byte {
	head := func(length ...byte) []byte { return append([]byte{c.CLA, c.INS, c.P1, c.P2}, length...) }
	long := head(0, byte(length>>8), byte(length))
	if length > iso7816.MaxShortData {
		return [][]byte{long}
	}
	return [][]byte{head(byte(length)), long}
}

// protected reports whether an answer with the status word is: 9000 and
// warnings (Amendment D, 6.2.5).
func protected(status iso7816.Status) bool {
	return status == iso7816.StatusOK || status>>8 == 0x62 || status>>8 == 0x63
}

func statusBytes(status iso7816.Status) []byte { return []byte{byte(status >> 8), byte(status)} }
