// Package iso7816 is ISO/IEC 7816-4 between program and card: short and
// extended command and response APDUs, command chaining, GET RESPONSE, status
// words as errors, BER-TLV, and the trace that blanks secrets. Applications and
// readers are left to others.
package iso7816

import (
	"errors"
	"fmt"
)

// Lengths of ISO/IEC 7816-4, 5.1, in bytes.
const (
	MaxShortData    = 255   // Lc of a short command
	MaxShortNe      = 256   // Le of a short command
	MaxExtendedData = 65535 // Lc of an extended command
	MaxExtendedNe   = 65536 // Le of an extended command
)

// Bits of the class byte, ISO/IEC 7816-4, 5.4.1.
const (
	ClassChaining = 0x10 // more commands of this chain follow
	classChannel  = 0x03 // logical channel of a first interindustry class
)

// Command is a command APDU before it is encoded for a card.
type Command struct {
	CLA, INS, P1, P2 byte

	// Data is the command data field; its length is Lc.
	Data []byte

	// Ne is the greatest number of answer bytes expected: 0 for none,
	// MaxShortNe or MaxExtendedNe for "as many as there are".
	Ne int

	// Beginning says that the first part of a longer answer is enough: what comes behind
	// it is not fetched by GET RESPONSE, and the next command ends it.
	Beginning bool
}

// ErrEncoding is what a command or an answer that does not fit its coding is.
var ErrEncoding = errors.New("malformed APDU")

// short reports whether c fits a short APDU.
func (c Command) short() bool { return len(c.Data) <= MaxShortData && c.Ne <= MaxShortNe }

// Encode returns the APDU, extended if asked for or if it does not fit
// otherwise (ISO/IEC 7816-4, 5.2).
func (c Command) Encode(extended bool) ([]byte, error) {
	if len(c.Data) > MaxExtendedData || c.Ne < 0 || c.Ne > MaxExtendedNe {
		return nil, fmt.Errorf("%w: %d bytes of data, %d expected", ErrEncoding, len(c.Data), c.Ne)
	}
	extended = extended || !c.short()
	apdu := make([]byte, 0, 4+3+len(c.Data)+3)
	apdu = append(apdu, c.CLA, c.INS, c.P1, c.P2)
	if !extended {
		if len(c.Data) > 0 {
			apdu = append(apdu, byte(len(c.Data)))
			apdu = append(apdu, c.Data...)
		}
		if c.Ne > 0 {
			apdu = append(apdu, byte(c.Ne)) // 256 is coded 00
		}
		return apdu, nil
	}
	if len(c.Data) > 0 || c.Ne > 0 {
		if len(c.Data) > 0 {
			apdu = append(apdu, 0, byte(len(c.Data)>>8), byte(len(c.Data)))
			apdu = append(apdu, c.Data...)
		} else {
			apdu = append(apdu, 0)
		}
	}
	if c.Ne > 0 {
		apdu = append(apdu, byte(c.Ne>>8), byte(c.Ne)) // 65536 is coded 0000
	}
	return apdu, nil
}

// ParseCommand decodes a command APDU, as a card does. The data field is not
// copied.
func ParseCommand(apdu []byte) (c Command, extended bool, err error) {
	if len(apdu) < 4 {
		return c, false, fmt.Errorf("%w: %d bytes", ErrEncoding, len(apdu))
	}
	c.CLA, c.INS, c.P1, c.P2 = apdu[0], apdu[1], apdu[2], apdu[3]
	body := apdu[4:]
	switch {
	case len(body) == 0:
		return c, false, nil
	case len(body) == 1:
		c.Ne = shortNe(body[0])
		return c, false, nil
	case body[0] != 0:
		return c, false, c.parseShort(body)
	case len(body) == 2:
		return c, false, fmt.Errorf("%w: length field of two bytes", ErrEncoding)
	default:
		return c, true, c.parseExtended(body[1:])
	}
}

func (c *Command) parseShort(body []byte) error {
	lc := int(body[0])
	body = body[1:]
	if len(body) < lc || len(body) > lc+1 {
		return fmt.Errorf("%w: Lc %d, %d bytes follow", ErrEncoding, lc, len(body))
	}
	c.Data = body[:lc]
	if len(body) == lc+1 {
		c.Ne = shortNe(body[lc])
	}
	return nil
}

func (c *Command) parseExtended(body []byte) error {
	n := int(body[0])<<8 | int(body[1])
	body = body[2:]
	if len(body) == 0 {
		c.Ne = extendedNe(n)
		return nil
	}
	if n == 0 || len(body) != n && len(body) != n+2 {
		return fmt.Errorf("%w: extended Lc %d, %d bytes follow", ErrEncoding, n, len(body))
	}
	c.Data = body[:n]
	if len(body) == n+2 {
		c.Ne = extendedNe(int(body[n])<<8 | int(body[n+1]))
	}
	return nil
}

func shortNe(le byte) int {
	if le == 0 {
		return MaxShortNe
	}
	return int(le)
}

func extendedNe(le int) int {
	if le == 0 {
		return MaxExtendedNe
	}
	return le
}
