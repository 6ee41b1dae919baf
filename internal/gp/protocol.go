package gp

import (
	"errors"
	"fmt"
	"slices"
)

// Protocol is a secure channel protocol with its implementation options, the
// parameter "i" (E.1.1, D.1.1; Amendment D, 5.1).
type Protocol struct {
	SCP byte
	I   byte
}

func (p Protocol) String() string { return fmt.Sprintf("SCP%02X i=%02X", p.SCP, p.I) }

// Bits of the parameter "i" of SCP01 and SCP02.
const (
	optionThreeKeys      = 0x01
	optionICVEncryption  = 0x10
	optionRMAC02         = 0x20
	optionPseudoRandom02 = 0x40
)

// Bits of the parameter "i" of SCP03.
const (
	optionS16            = 0x01 // challenges, cryptograms and MACs of 16 bytes
	optionPseudoRandom03 = 0x10
	optionRMAC03         = 0x20
	optionREncryption03  = 0x40
)

// ErrProtocol is a secure channel that this package does not open, ErrLevel one
// that does not have the security level.
var (
	ErrProtocol = errors.New("secure channel protocol not supported")
	ErrLevel    = fmt.Errorf("%w at this level", ErrProtocol)
)

// Cipher is the cipher of the protocol's keys.
func (p Protocol) Cipher() Cipher {
	if p.SCP == 3 {
		return AES
	}
	return TripleDES
}

// check names what is wrong with a protocol that cannot be opened.
func (p Protocol) check() error {
	var known []byte
	switch p.SCP {
	case 1:
		known = []byte{0x05, 0x15}
	case 2:
		if slices.Contains([]byte{0x0A, 0x0B, 0x1A, 0x1B}, p.I) {
			return fmt.Errorf("%w: %s is initiated implicitly, by the first command with a C-MAC, and cardctl needs INITIALIZE UPDATE", ErrProtocol, p)
		}
		known = []byte{0x04, 0x05, 0x14, 0x15, 0x35, 0x44, 0x45, 0x54, 0x55, 0x64, 0x65, 0x74, 0x75}
	case 3:
		known = []byte{0x00, 0x10, 0x20, 0x30, 0x60, 0x70}
		if slices.Contains(known, p.I&^optionS16) {
			return nil
		}
	default:
		return fmt.Errorf("%w: the card uses SCP%02X; supported are SCP01, SCP02 and SCP03", ErrProtocol, p.SCP)
	}
	if !slices.Contains(known, p.I) {
		return fmt.Errorf("%w: %s is not defined", ErrProtocol, p)
	}
	return nil
}

// OneKey reports whether the protocol has one base key in place of three.
func (p Protocol) OneKey() bool { return p.SCP == 2 && p.I&optionThreeKeys == 0 }

// s16 reports whether challenges, cryptograms and MACs have 16 bytes.
func (p Protocol) s16() bool { return p.SCP == 3 && p.I&optionS16 != 0 }

// pseudoRandom reports whether the card challenge can be computed by who has
// the keys.
func (p Protocol) pseudoRandom() bool {
	return p.SCP == 2 && p.I&optionPseudoRandom02 != 0 || p.SCP == 3 && p.I&optionPseudoRandom03 != 0
}

// Level is the security level of a session (Amendment D, table 7-4).
type Level byte

// The parts of a security level, and those that make sense.
const (
	CMAC        Level = 0x01
	CDecryption Level = 0x02
	RMAC        Level = 0x10
	REncryption Level = 0x20

	LevelNone          Level = 0x00
	LevelMAC                 = CMAC
	LevelEncryption          = CMAC | CDecryption
	LevelRMAC                = CMAC | RMAC
	LevelEncryptedRMAC       = CMAC | CDecryption | RMAC
	LevelFull                = CMAC | CDecryption | RMAC | REncryption
)

func (l Level) has(part Level) bool { return l&part != 0 }

func (l Level) String() string {
	switch l {
	case LevelNone:
		return "no secure messaging"
	case LevelMAC:
		return "C-MAC"
	case LevelEncryption:
		return "C-MAC and C-DECRYPTION"
	case RMAC:
		return "R-MAC"
	case LevelRMAC:
		return "C-MAC and R-MAC"
	case LevelEncryptedRMAC:
		return "C-MAC, C-DECRYPTION and R-MAC"
	case LevelFull:
		return "C-MAC, C-DECRYPTION, R-MAC and R-ENCRYPTION"
	}
	return fmt.Sprintf("security level %02X", byte(l))
}

// checkLevel reports whether sessions of the protocol know the level.
func (p Protocol) checkLevel(l Level) error {
	var levels []Level
	switch p.SCP {
	case 1:
		levels = []Level{LevelNone, LevelMAC, LevelEncryption}
	case 2:
		levels = []Level{LevelNone, LevelMAC, LevelEncryption}
		if p.I&optionRMAC02 != 0 {
			levels = append(levels, RMAC, LevelRMAC, LevelEncryptedRMAC)
		}
	case 3:
		levels = []Level{LevelNone, LevelMAC, LevelEncryption}
		if p.I&optionRMAC03 != 0 {
			levels = append(levels, LevelRMAC, LevelEncryptedRMAC)
		}
		if p.I&optionREncryption03 != 0 {
			levels = append(levels, LevelFull)
		}
	}
	if !slices.Contains(levels, l) {
		return fmt.Errorf("%w: %s does not have %s", ErrLevel, p, l)
	}
	return nil
}
