package cardsim

import (
	"encoding/json"

	"github.com/cardctl/cardctl/internal/iso7816"
)

const isoAppletName = "pkcs15"

// isoApplet is an application with a file system, 16 private keys, one PIN and
// one PUK, on which a host builds a PKCS #15 structure. It speaks the public
// protocol of IsoApplet with API version 0.6, which is ISO/IEC 7816-4, -8 and
// -9 with the conventions named in its other files.
type isoApplet struct {
	environment
	state isoAppletState

	// What does not survive a reset.
	user      bool     // the access condition of files that ask for the PIN
	validated bool     // the PIN was verified, which keys ask for
	df, ef    *isoFile // current files; df is never nil once selected
	security  securityEnvironment
}

// lifeCycle is how far the applet is on its way into use.
type lifeCycle byte

const (
	lifeCycleCreation       lifeCycle = 0 // neither PUK nor PIN: everything about files is allowed
	lifeCycleInitialisation lifeCycle = 1 // the PUK is set, the PIN is not
	lifeCycleOperational    lifeCycle = 5 // the PIN is set: access conditions hold
)

// Instructions of the applet that iso7816 has no name for: ISO/IEC 7816-4,
// -8 and -9.
const (
	insGenerateKeyPair = 0x46
	insReadBinary      = 0xB0
	insUpdateBinary    = 0xD6
	insCreateFile      = 0xE0
	insDeleteFile      = 0xE4
)

// Status words of the applet that iso7816 has no name for.
const (
	statusWrongStructure iso7816.Status = 0x6981 // command incompatible with file structure
	statusInvalidData    iso7816.Status = 0x6984 // what the applet answers to data it cannot use
	statusNotAllowed     iso7816.Status = 0x6986
)

// transportBuffer is the room, in bytes, for the data of a command that needs
// chaining or extended length: PSO, GENERATE ASYMMETRIC KEY PAIR, PUT DATA.
const transportBuffer = 660

func newIsoApplet(env environment) *isoApplet {
	a := &isoApplet{environment: env}
	a.deselect()
	return a
}

func (a *isoApplet) name() string { return isoAppletName }

func (a *isoApplet) aid() []byte {
	if a.instance != nil {
		return a.instance
	}
	return isoAppletAID()
}

func isoAppletAID() []byte {
	return []byte{0xF2, 0x76, 0xA2, 0x88, 0xBC, 0xFB, 0xA6, 0x9D, 0x34, 0xF3, 0x10, 0x01}
}

// historicalBytes are the card capabilities alone: selection by full and
// partial DF name, path and file identifier; data units of one byte; how long
// commands travel.
func (a *isoApplet) historicalBytes() []byte {
	long := byte(0x80) // command chaining
	if a.profile.announcesExtendedLength {
		long |= 0x40
	}
	return []byte{0x80, 0x73, 0xF0, 0x01, long}
}

// selected answers the API version and the features; version 1.0 has GET DATA
// for them.
func (a *isoApplet) selected(byte) ([]byte, iso7816.Status) {
	a.user = a.state.LifeCycle != lifeCycleOperational
	a.df, a.ef = a.state.MF, nil
	if a.profile.isoApplet1 {
		return nil, iso7816.StatusOK
	}
	return a.version(), iso7816.StatusOK
}

// version is the API version, major and minor, and the features.
func (a *isoApplet) version() []byte {
	const extendedLength, random, ecc, pss, rsa4096 = 0x01, 0x02, 0x04, 0x08, 0x20
	features := byte(random)
	if a.profile.announcesExtendedLength {
		features |= extendedLength
	}
	if a.profile.ec {
		features |= ecc
	}
	if a.profile.rsa4096 {
		features |= pss | rsa4096
	}
	if a.profile.isoApplet1 {
		return []byte{0x01, 0x00, features}
	}
	return []byte{0x00, 0x06, features}
}

// getData is GET DATA (ISO/IEC 7816-4, 11.4.3) of DO 0101, the API version 1.0.
func (a *isoApplet) getData(c iso7816.Command) ([]byte, iso7816.Status) {
	switch {
	case !a.profile.isoApplet1:
		return nil, iso7816.StatusINSNotSupported
	case c.P1 != 0x01 || c.P2 != 0x01:
		return nil, iso7816.StatusWrongP1P2
	}
	return a.version(), iso7816.StatusOK
}

func (a *isoApplet) deselect() {
	a.user, a.validated = false, false
	a.df, a.ef = a.state.MF, nil
	a.security = securityEnvironment{}
}

// impliesLe matters to SELECT: hosts leave its Le out.
func (a *isoApplet) impliesLe() bool { return true }

func (a *isoApplet) marshal() (json.RawMessage, error) { return json.Marshal(a.state) }

func (a *isoApplet) unmarshal(raw json.RawMessage) error {
	if err := restore(&a.state, raw); err != nil {
		return err
	}
	a.deselect()
	return nil
}

func (a *isoApplet) factory() error {
	a.state = isoAppletState{MF: masterFile()}
	a.deselect()
	return nil
}

func (a *isoApplet) process(c iso7816.Command) ([]byte, iso7816.Status) {
	if c.CLA != 0 {
		return nil, iso7816.StatusCLANotSupported
	}
	switch c.INS {
	case insReadBinary:
		return a.readBinary(c)
	case insUpdateBinary:
		return nil, a.updateBinary(c)
	case insCreateFile:
		return nil, a.createFile(c)
	case insDeleteFile:
		return nil, a.deleteFile(c)
	case iso7816.InsVerify:
		return nil, a.verify(c)
	case iso7816.InsChangeReferenceData:
		return nil, a.changeReferenceData(c)
	case iso7816.InsResetRetryCounter:
		return nil, a.resetRetryCounter(c)
	case iso7816.InsManageSecurity:
		return nil, a.manageSecurityEnvironment(c)
	case insGenerateKeyPair:
		return a.generateKeyPair(c)
	case iso7816.InsPutDataOdd:
		return nil, a.putKey(c)
	case iso7816.InsPerformSecurityOp:
		return a.performSecurityOperation(c)
	case iso7816.InsGetChallenge:
		return a.getChallenge(c)
	case iso7816.InsGetData:
		return a.getData(c)
	}
	return nil, iso7816.StatusINSNotSupported
}

// getChallenge is GET CHALLENGE, ISO/IEC 7816-4: 1 to 256 random bytes.
func (a *isoApplet) getChallenge(c iso7816.Command) ([]byte, iso7816.Status) {
	switch {
	case c.P1 != 0 || c.P2 != 0:
		return nil, iso7816.StatusWrongP1P2
	case len(c.Data) != 0 || c.Ne == 0 || c.Ne > iso7816.MaxShortNe:
		return nil, iso7816.StatusWrongLength
	}
	return a.draw(c.Ne)
}
