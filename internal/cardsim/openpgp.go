package cardsim

import (
	"encoding/json"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
)

const openpgpName = "openpgp"

// openpgp is the application of "Functional Specification of the OpenPGP
// application on ISO Smart Card Operating Systems", version 3.4.1, and with
// the profile's version below 3.0, of version 2.0.1. Sections named here and
// in its other files are those of 3.4.1.
type openpgp struct {
	environment
	state openpgpState

	// What does not survive a reset.
	verified    passwords // access conditions that are satisfied
	certificate int       // occurrence of DO 7F21 that is current
	deciphers   slot      // key of PSO:DECIPHER
	proves      slot      // key of INTERNAL AUTHENTICATE
}

// passwords is a set of access conditions.
type passwords byte

const (
	pw1Sign  passwords = 1 << iota // PW1 verified as 81, for PSO:CDS
	pw1Other                       // PW1 verified as 82, for everything else
	pw3                            // PW3 verified
)

// Status words of section 7.12 that iso7816 has no name for.
const statusSecurityIssue iso7816.Status = 0x6600 // reserved for user interaction

func newOpenPGP(env environment) *openpgp {
	if len(env.instance) == 16 {
		env.profile = env.profile.ofVersion(uint16(env.instance[6])<<8 | uint16(env.instance[7]))
	}
	a := &openpgp{environment: env}
	a.deselect()
	return a
}

func (a *openpgp) name() string { return openpgpName }

// aid is section 4.2.1: RID of FSF Europe, application 01, version,
// manufacturer FFFE (test cards) or 0006 (Yubico), serial number, RFU.
func (a *openpgp) aid() []byte {
	if a.instance != nil {
		return a.instance
	}
	maker := []byte{0xFF, 0xFE}
	if a.profile.yubikey.there() {
		maker = []byte{0x00, 0x06}
	}
	aid := append(openpgpAID(), byte(a.profile.version>>8), byte(a.profile.version))
	aid = append(aid, maker...)
	aid = append(aid, a.serial[:]...)
	return append(aid, 0, 0)
}

// openpgpAID is how the AID of every OpenPGP application begins.
func openpgpAID() []byte { return []byte{0xD2, 0x76, 0x00, 0x01, 0x24, 0x01} }

// historicalBytes are section 6: card service data (selection by full and
// partial DF name, data objects through GET DATA, no MF), card capabilities,
// and the status indicator with the life cycle.
func (a *openpgp) historicalBytes() []byte {
	capabilities := byte(0x80) // command chaining
	if a.profile.announcesExtendedLength {
		capabilities |= 0x40
		if a.profile.modern() {
			capabilities |= 0x20 // extended length information in DO 7F66
		}
	}
	lifeCycle := byte(0x05) // operational
	switch {
	case !a.profile.terminate:
		lifeCycle = 0x00 // no life cycle management
	case a.state.Terminated:
		lifeCycle = 0x03 // initialisation
	}
	return []byte{0x00, 0x31, 0xC5, 0x73, 0xC0, 0x01, capabilities, lifeCycle, 0x90, 0x00}
}

// selected is section 7.2.1. P2 asks for FCI, FCP, FMD or nothing.
func (a *openpgp) selected(p2 byte) ([]byte, iso7816.Status) {
	if a.state.Terminated {
		return nil, iso7816.StatusTerminated
	}
	const tagDFName = 0x84
	name := iso7816.AppendTLV(nil, tagDFName, a.aid())
	switch p2 & 0x0C {
	case 0x00:
		return iso7816.AppendTLV(nil, 0x6F, name), iso7816.StatusOK
	case 0x04:
		return iso7816.AppendTLV(nil, 0x62, name), iso7816.StatusOK
	case 0x08:
		return iso7816.AppendTLV(nil, 0x64, name), iso7816.StatusOK
	default:
		return nil, iso7816.StatusOK
	}
}

func (a *openpgp) deselect() {
	a.verified = 0
	a.certificate = 0
	a.deciphers, a.proves = slotDEC, slotAUT
}

func (a *openpgp) marshal() (json.RawMessage, error) { return json.Marshal(a.state) }

func (a *openpgp) unmarshal(raw json.RawMessage) error { return restore(&a.state, raw) }

func (a *openpgp) factory() error {
	state, err := a.factoryState()
	if err != nil {
		return fmt.Errorf("factory state: %w", err)
	}
	a.state = *state
	return nil
}

// has reports whether one of the access conditions is satisfied.
func (a *openpgp) has(condition passwords) bool { return a.verified&condition != 0 }

// process is section 7: the commands.
func (a *openpgp) process(c iso7816.Command) ([]byte, iso7816.Status) {
	if c.CLA != 0 && !a.attests(c) {
		return nil, iso7816.StatusCLANotSupported
	}
	if a.state.Terminated && c.INS != iso7816.InsActivateFile {
		return nil, iso7816.StatusTerminated
	}
	if a.profile.yubikey.there() {
		switch c.INS {
		case insYubicoVersion:
			return a.firmwareVersion(c)
		case insYubicoRetries:
			return nil, a.setRetries(c)
		case insYubicoAttest:
			return nil, a.attest(c)
		}
	}
	switch c.INS {
	case iso7816.InsVerify:
		return nil, a.verify(c)
	case iso7816.InsChangeReferenceData:
		return nil, a.changeReferenceData(c)
	case iso7816.InsResetRetryCounter:
		return nil, a.resetRetryCounter(c)
	case iso7816.InsGetData:
		return a.getData(c)
	case iso7816.InsPutData:
		return nil, a.putData(c)
	case iso7816.InsPutDataOdd:
		return nil, a.putDataOdd(c)
	case iso7816.InsGenerateKeyPair:
		return a.generateKeyPair(c)
	case iso7816.InsPerformSecurityOp:
		return a.performSecurityOperation(c)
	case iso7816.InsInternalAuthenticate:
		return a.internalAuthenticate(c)
	case iso7816.InsGetChallenge:
		return a.getChallenge(c)
	}
	if a.profile.terminate {
		switch c.INS {
		case iso7816.InsTerminateDF:
			return nil, a.terminateDF(c)
		case iso7816.InsActivateFile:
			return nil, a.activateFile(c)
		}
	}
	if a.profile.modern() {
		switch c.INS {
		case iso7816.InsSelectData:
			return nil, a.selectData(c)
		case iso7816.InsGetNextData:
			return a.getNextData(c)
		case iso7816.InsManageSecurity:
			return nil, a.manageSecurityEnvironment(c)
		}
	}
	return nil, iso7816.StatusINSNotSupported
}
