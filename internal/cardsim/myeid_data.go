package cardsim

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/binary"
	"io"
	"math/big"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Identifiers of GET DATA and PUT DATA; P1 is 01.
const (
	myEIDKeyInfo      = 0x00
	myEIDModulus      = 0x01
	myEIDExponent     = 0x02
	myEIDPoint        = 0x86
	myEIDAppletInfo   = 0xA0
	myEIDCapabilities = 0xAA
	myEIDAccess       = 0xAC
	myEIDPINInfo      = 0xB0 // and the PIN's number
	myEIDInitialise   = 0xE0
)

// The longest keys, in bits.
const (
	myEIDMaxRSA = 4096
	myEIDMaxEC  = 521
)

// getData is GET DATA: about the applet, a PIN, or the key in the current
// file.
func (a *myEID) getData(c iso7816.Command) ([]byte, iso7816.Status) {
	if c.P1 != 0x01 {
		return nil, iso7816.StatusReferenceNotFound
	}
	switch c.P2 {
	case myEIDAppletInfo:
		return a.appletInfo(), iso7816.StatusOK
	case myEIDCapabilities:
		const version, rsaAndEC, none = 1, 0x0009, 0
		info := []byte{version}
		for _, n := range []uint16{rsaAndEC, myEIDMaxRSA, none, none, myEIDMaxEC} {
			info = binary.BigEndian.AppendUint16(info, n)
		}
		return info, iso7816.StatusOK
	case myEIDAccess:
		if !a.state.Active {
			return []byte{0xFF, 0xFF}, iso7816.StatusOK
		}
		return binary.BigEndian.AppendUint16(nil, a.verified), iso7816.StatusOK
	}
	if p := a.pin(c.P2 &^ myEIDPINInfo); c.P2&myEIDPINInfo == myEIDPINInfo && p != nil {
		return p.info(), iso7816.StatusOK
	}
	return a.keyData(c.P2)
}

// appletInfo is 20 bytes: the platform, the version 4.5.5, ten bytes of the
// serial number, a change counter.
func (a *myEID) appletInfo() []byte {
	info := []byte{0x1C, 0x02, 0x00, 0x00, 0x00, 4, 5, 5}
	info = append(info, 0, 0, 0, 0, 0, 0)
	info = append(info, a.serial[:]...)
	return binary.BigEndian.AppendUint16(info, a.state.Changes)
}

// info is the tries left of PIN and PUK and what they are made up to, flags,
// type, grid size, and the least lengths. FF is what was never set.
func (p *myEIDPIN) info() []byte {
	if p.PIN.Length == 0 {
		return bytes.Repeat([]byte{0xFF}, 9)
	}
	return []byte{byte(p.PIN.Tries), byte(p.PUK.Tries), byte(p.PINTries), byte(p.PUKTries), 0, 0, 0, byte(p.Least), byte(p.Least)}
}

// keyData is the public half of the key in the current file.
func (a *myEID) keyData(what byte) ([]byte, iso7816.Status) {
	if a.current.Key.private == nil {
		return nil, iso7816.StatusReferenceNotFound
	}
	switch key := a.current.Key.private.(type) {
	case *rsa.PrivateKey:
		exponent := big.NewInt(int64(key.E))
		switch what {
		case myEIDKeyInfo:
			info := binary.BigEndian.AppendUint16([]byte{0x92, 0x00}, uint16(key.N.BitLen()))
			return binary.BigEndian.AppendUint16(info, uint16(exponent.BitLen())), iso7816.StatusOK
		case myEIDModulus:
			return key.N.Bytes(), iso7816.StatusOK
		case myEIDExponent:
			return exponent.Bytes(), iso7816.StatusOK
		}
	case *ecdsa.PrivateKey:
		if what == myEIDPoint {
			return iso7816.AppendTLV(nil, 0x30, point(key)), iso7816.StatusOK
		}
	}
	return nil, iso7816.StatusReferenceNotFound
}

// putData is PUT DATA: INITIALIZE APPLET, a PIN, or a part of the key in the
// current file.
func (a *myEID) putData(c iso7816.Command) iso7816.Status {
	switch {
	case c.P1 != 0x01:
		return iso7816.StatusWrongP1P2
	case c.P2 == myEIDInitialise:
		return a.initialise(c.Data)
	case a.pin(c.P2) != nil:
		return a.initialisePIN(c)
	}
	return a.loadKey(c.P2, c.Data)
}

// initialise is INITIALIZE APPLET: everything goes, and the MF and the
// application DF get access conditions, behind two bytes for the room they
// shall have.
func (a *myEID) initialise(data []byte) iso7816.Status {
	const room = 2
	switch {
	case !a.permits(a.state.MF, accessDelete):
		return iso7816.StatusSecurityNotSatisfied
	case len(data) != room+6:
		return iso7816.StatusWrongLength
	}
	a.state = myEIDState{MF: myEIDFiles(data[room:]), Changes: a.state.Changes}
	a.deselect()
	return a.changed()
}

// activate is ACTIVATE APPLET: access conditions hold from now on.
func (a *myEID) activate(c iso7816.Command) iso7816.Status {
	switch {
	case c.P1 != 0x04 || c.P2 != 0:
		return iso7816.StatusWrongP1P2
	case !bytes.Equal(c.Data, a.aid()):
		return iso7816.StatusFileNotFound
	}
	a.state.Active = true
	return a.changed()
}

// challenge is GET CHALLENGE, ISO/IEC 7816-4: 1 to 256 random bytes.
func (a *myEID) challenge(c iso7816.Command) ([]byte, iso7816.Status) {
	if c.P1 != 0 || c.P2 != 0 {
		return nil, iso7816.StatusWrongP1P2
	}
	if len(c.Data) != 0 || c.Ne == 0 || c.Ne > iso7816.MaxShortNe {
		return nil, iso7816.StatusWrongLength
	}
	random := make([]byte, c.Ne)
	if _, err := io.ReadFull(a.random, random); err != nil {
		return nil, iso7816.StatusMemoryFailure
	}
	return random, iso7816.StatusOK
}
