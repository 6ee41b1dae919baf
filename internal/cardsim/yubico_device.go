package cardsim

import (
	"encoding/json"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// yubicoDevice is the management application of a YubiKey, as far as it tells of PIV: its
// device information (Yubico, "Management application", READ CONFIG).
type yubicoDevice struct{ environment }

func (a *yubicoDevice) name() string { return "yubico-device" }

func (a *yubicoDevice) aid() []byte { return []byte{0xA0, 0x00, 0x00, 0x05, 0x27, 0x47, 0x11, 0x17} }

func (a *yubicoDevice) historicalBytes() []byte { return nil }

// selected answers with the version as text.
func (a *yubicoDevice) selected(byte) ([]byte, iso7816.Status) {
	return []byte("Virtual mgr - FW version 5.7.4"), iso7816.StatusOK
}

// process is READ CONFIG alone: one byte of length and simple TLVs. Capabilities are bits:
// PIV is 10, in those of FIPS 02.
func (a *yubicoDevice) process(c iso7816.Command) ([]byte, iso7816.Status) {
	const insReadConfiguration = 0x1D
	const tagSerial, tagVersion, tagCapableOfFIPS, tagComplexity, tagResetBlocked = 0x02, 0x05, 0x14, 0x16, 0x18
	if c.INS != insReadConfiguration {
		return nil, iso7816.StatusINSNotSupported
	}
	f := a.profile.piv
	var b []byte
	add := func(tag byte, value ...byte) { b = append(append(b, tag, byte(len(value))), value...) }
	add(tagSerial, a.serial[:]...)
	add(tagVersion, f.firmware[:]...)
	if f.fips {
		add(tagCapableOfFIPS, 0x00, 0x02)
	}
	add(tagComplexity, flagByte(f.complexPINs || f.fips)...)
	if f.fingerprints {
		add(tagResetBlocked, 0x00, 0x10)
	}
	return append([]byte{byte(len(b))}, b...), iso7816.StatusOK
}

func (a *yubicoDevice) deselect()                         {}
func (a *yubicoDevice) factory() error                    { return nil }
func (a *yubicoDevice) marshal() (json.RawMessage, error) { return nil, nil }
func (a *yubicoDevice) unmarshal(json.RawMessage) error   { return nil }
