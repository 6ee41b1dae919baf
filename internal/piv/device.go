package piv

import (
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Device is what a YubiKey tells of itself in Yubico's management application, as far as
// it bears on PIV.
type Device struct {
	// FIPS says that PIV has to be used by the rules of FIPS 140, Complex that PINs have
	// to be complex, and ResetBlocked that PIV cannot be reset alone.
	FIPS, Complex, ResetBlocked bool
}

// ReadDevice selects the management application and reads its configuration; PIV is not
// selected afterwards. The zero Device is a card that does not tell.
func ReadDevice(ctx context.Context, ch *iso7816.Channel) (Device, error) {
	const insReadConfiguration = 0x1D
	var d Device
	_, err := ch.Select(ctx, []byte{0xA0, 0x00, 0x00, 0x05, 0x27, 0x47, 0x11, 0x17})
	var answer []byte
	if err == nil {
		answer, err = ch.Send(ctx, iso7816.Command{INS: insReadConfiguration, Ne: iso7816.MaxShortNe})
	}
	if err != nil {
		return d, unlessAnswered(err)
	}
	if len(answer) == 0 || int(answer[0]) != len(answer)-1 {
		return d, nil
	}
	for rest := answer[1:]; len(rest) >= 2 && len(rest) >= 2+int(rest[1]); rest = rest[2+int(rest[1]):] {
		d.note(rest[0], rest[2:2+int(rest[1])])
	}
	return d, nil
}

// note takes one entry of the configuration.
func (d *Device) note(tag byte, value []byte) {
	const tagFIPS, tagComplexity, tagResetBlocked = 0x14, 0x16, 0x18
	const ofPIV, ofPIVInFIPS = 0x10, 0x02 // bits of capabilities
	last := byte(0)
	if len(value) > 0 {
		last = value[len(value)-1]
	}
	switch tag {
	case tagFIPS:
		d.FIPS = last&ofPIVInFIPS != 0
	case tagComplexity:
		d.Complex = last != 0
	case tagResetBlocked:
		d.ResetBlocked = last&ofPIV != 0
	}
}
