package gp

import (
	"crypto/subtle"
	"errors"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// ErrResponseMAC is an answer whose R-MAC is missing or wrong. The session is
// closed: what the card says is not to be believed any more.
var ErrResponseMAC = errors.New("the R-MAC of the card's answer is wrong")

// messaging is the secure messaging of one session.
type messaging interface {
	// wrap protects a command. It changes the state of the session, so
	// that what it returns has to be sent.
	wrap(cmd iso7816.Command, level Level) iso7816.Command

	// unwrap checks and decrypts the answer to the command, given as it was
	// before wrap.
	unwrap(cmd iso7816.Command, level Level, answer []byte, status iso7816.Status) ([]byte, error)

	// overhead is the length of the MAC in bytes, and the block size that
	// encrypted data is padded to.
	overhead() (mac, block int)

	// encryptKey encrypts a key for PUT KEY.
	encryptKey(key []byte) []byte

	cardCryptogram(host, card []byte) []byte
	hostCryptogram(host, card []byte) []byte

	// pseudoRandomChallenge is the card challenge that the card should have
	// answered when the application aid is selected.
	pseudoRandomChallenge(sequence, aid []byte) []byte

	wipe()
}

// header is the beginning of the APDU as the C-MAC covers it, with the length
// of the data and of the MAC in Lc.
func header(cmd iso7816.Command, lc int) []byte {
	return append([]byte{cmd.CLA, cmd.INS, cmd.P1, cmd.P2}, lcField(lc)...)
}

// lcField is the coding of Lc in a short or, where it has to be, an extended
// APDU.
func lcField(lc int) []byte {
	if lc > iso7816.MaxShortData {
		return []byte{0, byte(lc >> 8), byte(lc)}
	}
	return []byte{byte(lc)}
}

// protected reports whether the card protects an answer with this status word:
// an error is answered without data (Amendment D, 6.2.5).
func protected(s iso7816.Status) bool {
	return s == iso7816.StatusOK || s>>8 == 0x62 || s>>8 == 0x63
}

func equal(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }

// splitMAC cuts the MAC from the end of an answer.
func splitMAC(answer []byte, length int) (data, mac []byte, err error) {
	n := len(answer) - length
	if n < 0 {
		return nil, nil, ErrResponseMAC
	}
	return answer[:n:n], answer[n:], nil
}
