package cardsim

import (
	"encoding/json"

	"github.com/cardctl/cardctl/internal/iso7816"
)

const myEIDName = "myeid"

// myEID is an application with a file system whose key files hold keys, and 14
// PINs with a PUK each, on which a host builds a PKCS #15 structure. It speaks
// the protocol of the MyEID PKI applet's reference manual, version 2.3, which is
// ISO/IEC 7816-4, -8 and -9 with the conventions named in its other files.
// Before ACTIVATE APPLET there is no access control.
type myEID struct {
	environment
	state myEIDState

	// What does not survive a reset.
	verified uint16     // a bit for each PIN; bit 0 is PIN 1
	current  *myEIDFile // never nil once selected
	security myEIDSecurity
}

// Instructions of the applet that have no name elsewhere.
const (
	insDeauthenticate = 0x2E
	insActivate       = 0x44
	insAgree          = 0x86 // GENERAL AUTHENTICATE
)

const statusFileExists iso7816.Status = 0x6A89

func newMyEID(env environment) *myEID { return &myEID{environment: env} }

func (a *myEID) name() string { return myEIDName }

func (a *myEID) aid() []byte { return []byte("\xA0\x00\x00\x00\x63PKCS-15") }

// historicalBytes are what hosts know the card by.
func (a *myEID) historicalBytes() []byte { return []byte("MyEID") }

// selected enters the application's DF, which bears its name.
func (a *myEID) selected(p2 byte) ([]byte, iso7816.Status) {
	a.current = a.state.MF
	if f := a.state.MF.child(myEIDApplicationID); f != nil {
		a.current = f
	}
	return a.answerSelect(p2)
}

func (a *myEID) deselect() {
	a.verified = 0
	a.current = a.state.MF
	a.security = myEIDSecurity{}
}

func (a *myEID) factory() error {
	a.state = myEIDState{MF: myEIDFiles(nil)}
	a.deselect()
	return nil
}

func (a *myEID) marshal() (json.RawMessage, error) { return json.Marshal(a.state) }

func (a *myEID) unmarshal(raw json.RawMessage) error {
	if err := restore(&a.state, raw); err != nil {
		return err
	}
	a.deselect()
	return nil
}

func (a *myEID) process(c iso7816.Command) ([]byte, iso7816.Status) {
	const ofSIM = 0xA0 // the class byte with which OpenSC deletes files
	if c.CLA != 0 && !(c.CLA == ofSIM && c.INS == insDeleteFile) {
		return nil, iso7816.StatusCLANotSupported
	}
	if c.INS != iso7816.InsPerformSecurityOp {
		a.security.half = nil
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
		return nil, a.replacePIN(c, false)
	case iso7816.InsResetRetryCounter:
		return nil, a.replacePIN(c, true)
	case insDeauthenticate:
		return nil, a.deauthenticate(c)
	case insActivate:
		return nil, a.activate(c)
	case iso7816.InsGetData:
		return a.getData(c)
	case iso7816.InsPutData:
		return nil, a.putData(c)
	case insGenerateKeyPair:
		return a.generateKeyPair(c)
	case iso7816.InsManageSecurity:
		return nil, a.manageSecurityEnvironment(c)
	case iso7816.InsPerformSecurityOp:
		return a.performSecurityOperation(c)
	case insAgree:
		return a.agree(c)
	case iso7816.InsGetChallenge:
		return a.challenge(c)
	}
	return nil, iso7816.StatusINSNotSupported
}
