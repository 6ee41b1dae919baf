package cardsim

import (
	"encoding/json"

	"github.com/cardctl/cardctl/internal/iso7816"
)

const gpName = "gp"

// gp is the issuer security domain of a Java card, and with it the card's
// registry, its loader and what is installed: GlobalPlatform Card
// Specification 2.1.1 to 2.3.1. Sections named here and in its other files are
// those of 2.3.1.
type gp struct {
	environment
	state gpState

	// What does not survive a reset or another selection.
	session    *gpSession
	load       *loading      // between INSTALL [for load] and the last LOAD
	listing    *listing      // what GET STATUS has not told yet
	personal   *javaInstance // gets STORE DATA; nil for the security domain
	domain     *javaInstance // the security domain that is selected; nil for the issuer's
	storing    []byte        // blocks of STORE DATA
	storeBlock int           // the next one
}

// Instructions of GlobalPlatform (table 11-1).
const (
	insInitializeUpdate     = 0x50
	insManageChannel        = 0x70
	insExternalAuthenticate = 0x82
	insPutKey               = 0xD8
	insStoreData            = 0xE2
	insDeleteObject         = 0xE4
	insInstall              = 0xE6
	insLoad                 = 0xE8
	insSetStatus            = 0xF0
	insGetStatus            = 0xF2
)

// Status words of GlobalPlatform that iso7816 has no name for.
const (
	statusNotAuthenticated iso7816.Status = 0x6300 // the host's cryptogram is wrong
	statusMoreData         iso7816.Status = 0x6310
	statusLocked           iso7816.Status = 0x6283
	statusNoImport         iso7816.Status = 0x6438 // a package that is imported is not there
)

// Life cycle of the card, that of the issuer security domain (5.1.1).
const (
	cardReady       = 0x01
	cardInitialized = 0x07
	cardSecured     = 0x0F
	cardLocked      = 0x7F
	cardTerminated  = 0xFF
)

func newGP(env environment) *gp { return &gp{environment: env} }

func (a *gp) name() string { return gpName }
func (a *gp) aid() []byte  { return a.state.AID }

// historicalBytes are the card capabilities alone.
func (a *gp) historicalBytes() []byte {
	long := byte(0x80) // command chaining, for the applications
	if a.profile.announcesExtendedLength {
		long |= 0x40
	}
	return []byte{0x80, 0x73, 0xC0, 0x01, long}
}

// impliesLe: Java Cards answer in full although there was no Le.
func (a *gp) impliesLe() bool { return true }

func (a *gp) unwraps() {}

func (a *gp) deselect() {
	a.session, a.load, a.listing = nil, nil, nil
	a.personal, a.storing, a.storeBlock = nil, nil, 0
	a.domain = nil
}

func (a *gp) marshal() (json.RawMessage, error) {
	if err := a.state.keepInstances(); err != nil {
		return nil, err
	}
	return json.Marshal(a.state)
}

func (a *gp) unmarshal(raw json.RawMessage) error {
	var state gpState
	if err := restore(&state, raw); err != nil {
		return err
	}
	for _, instance := range state.Instances {
		if err := instance.revive(a); err != nil {
			return err
		}
	}
	a.state = state
	a.deselect()
	return nil
}

func (a *gp) factory() error {
	state, err := a.factoryState()
	if err != nil {
		return err
	}
	a.state = *state
	return nil
}

// closed reports whether the life cycle of the card leaves no application
// (5.1.1.4, 5.1.1.5).
func (a *gp) closed() bool {
	return a.state.LifeCycle == cardLocked || a.state.LifeCycle == cardTerminated
}

// carried are the installed applications that can be selected.
func (a *gp) carried() []application {
	if a.closed() {
		return nil
	}
	var list []application
	for _, instance := range a.state.Instances {
		if instance.selectable() {
			list = append(list, instance.app)
		}
	}
	return list
}

// implicit is the application with the privilege Default Selected (6.6.1), or
// the issuer security domain.
func (a *gp) implicit() application {
	for _, instance := range a.state.Instances {
		if instance.has(privilegeDefaultSelected) && instance.selectable() && !a.closed() {
			return instance.app
		}
	}
	return a
}

// selected answers the file control information (11.9.3).
func (a *gp) selected(byte) ([]byte, iso7816.Status) {
	if a.state.LifeCycle == cardTerminated {
		return nil, iso7816.StatusConditionsNotSatisfied
	}
	fci := a.controlInformation(a.state.AID)
	if a.state.LifeCycle == cardLocked {
		return fci, statusLocked
	}
	return fci, iso7816.StatusOK
}

// controlInformation is the FCI of a security domain.
func (a *gp) controlInformation(aid []byte) []byte {
	longest := []byte{0xFF}
	if a.profile.extendedLength && a.profile.announcesExtendedLength {
		longest = []byte{byte(a.profile.commandLimit >> 8), byte(a.profile.commandLimit)}
	}
	proprietary := iso7816.AppendTLV(a.recognitionData(), 0x9F65, longest)
	fci := iso7816.AppendTLV(nil, 0x84, aid)
	return iso7816.AppendTLV(nil, 0x6F, iso7816.AppendTLV(fci, 0xA5, proprietary))
}

func (a *gp) process(c iso7816.Command) ([]byte, iso7816.Status) {
	if c.CLA&classChannel != 0 || c.INS == insManageChannel {
		return nil, iso7816.StatusChannelNotSupported
	}
	if c.CLA&^(classProprietary|classSecureGP) != 0 {
		return nil, iso7816.StatusCLANotSupported
	}
	if a.state.LifeCycle == cardTerminated && c.INS != iso7816.InsGetData {
		return nil, iso7816.StatusConditionsNotSatisfied
	}
	if len(c.Data) > a.profile.commandLimit {
		return nil, iso7816.StatusWrongLength
	}
	switch c.INS {
	case insInitializeUpdate:
		return a.initializeUpdate(c)
	case insExternalAuthenticate:
		return nil, a.externalAuthenticate(c)
	}
	plain, status := a.receive(c)
	if status != iso7816.StatusOK {
		return nil, status
	}
	data, status := a.command(plain)
	return a.answer(plain, data, status), status
}

// command carries out a command whose protection is taken away.
func (a *gp) command(c iso7816.Command) ([]byte, iso7816.Status) {
	if c.INS == iso7816.InsGetData {
		return a.getData(c)
	}
	if c.CLA&classProprietary == 0 {
		return nil, iso7816.StatusINSNotSupported
	}
	handler := a.management(c.INS)
	if handler == nil {
		return nil, iso7816.StatusINSNotSupported
	}
	if !a.authorized() {
		return nil, iso7816.StatusSecurityNotSatisfied
	}
	if a.state.LifeCycle == cardLocked && c.INS != insSetStatus && c.INS != insGetStatus {
		return nil, iso7816.StatusConditionsNotSatisfied
	}
	if c.INS != insGetStatus {
		a.listing = nil
	}
	if c.INS != insLoad && c.INS != insGetStatus {
		a.load = nil // a load that is not finished leaves nothing
	}
	return handler(c)
}

// management is card content management (11.2 to 11.11), which is for an
// authenticated host.
func (a *gp) management(ins byte) func(iso7816.Command) ([]byte, iso7816.Status) {
	switch ins {
	case insGetStatus:
		return a.getStatus
	case insInstall:
		return a.install
	case insLoad:
		return a.loadBlock
	case insDeleteObject:
		return a.delete
	case insPutKey:
		return a.putKey
	case insSetStatus:
		return a.setStatus
	case insStoreData:
		return a.storeData
	}
	return nil
}

// confirmation is the answer of DELETE, INSTALL and LOAD without a receipt.
func confirmation(status iso7816.Status) ([]byte, iso7816.Status) {
	if status != iso7816.StatusOK {
		return nil, status
	}
	return []byte{0x00}, status
}
