package cardsim

import (
	"encoding/json"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

const pivName = "piv"

// piv is the PIV card application of NIST SP 800-73-4, part 2, and with the
// profile's features the commands that Yubico adds to it. Sections named here
// and in its other files are those of SP 800-73-4, part 2.
type piv struct {
	environment
	state  pivState
	device *yubicoDevice // nil where nothing has to be told of it

	// What does not survive a reset or another selection.
	pinVerified bool // the PIN was verified, and no other command failed on it
	pinFresh    bool // VERIFY was the command before
	managed     bool // the management key was proved
	challenge   []byte
	witness     []byte
}

// pivFeatures are what PIV cards differ in.
type pivFeatures struct {
	// firmware is that of a YubiKey; zero is a card without Yubico's commands.
	firmware firmware

	metadataTypeOnly bool           // F7 of the management key tells its type alone
	emptyMetadata    iso7816.Status // of a slot without a key
	saysImported     bool           // F7 calls every key imported
	oddStatement     bool           // attestation: bytes are wrapped, and the serial is not
	nameLengths      []int          // of the AID that SELECT takes; nil for all
	keepsPIN         bool           // SELECT of the selected application leaves the PIN verified
	oldTries         bool           // 630x instead of 63Cx
	globalPIN        bool           // the PIN is the global one, 00, as the discovery object says
	room             int            // bytes for all objects; 0 for those of a YubiKey
	cutsObjects      bool           // GET DATA ends in the middle of a certificate
	refusesReset     bool           // RESET answers 6985 whatever is blocked
	bio              bool           // a YubiKey Bio, whose numbers of tries are fixed
	fingerprints     bool           // one with fingerprints, which does not reset PIV
	fips             bool           // a YubiKey FIPS: PINs of eight bytes, no other numbers of tries
	complexPINs      bool           // no PIN of one character, no other numbers of tries
}

func (f pivFeatures) yubico() bool { return f.firmware.there() }

// since reports whether it is a YubiKey of this firmware or a later one.
func (f pivFeatures) since(major, minor byte) bool { return f.firmware.since(major, minor) }

// Firmware that brought something, by Yubico's "PIV" documentation.
func (f pivFeatures) attests() bool      { return f.since(4, 3) }
func (f pivFeatures) tellsSerial() bool  { return f.since(5, 0) }
func (f pivFeatures) metadata() bool     { return f.since(5, 3) }
func (f pivFeatures) managesByAES() bool { return f.since(5, 4) }
func (f pivFeatures) moves() bool        { return f.since(5, 7) }
func (f pivFeatures) curves25519() bool  { return f.since(5, 7) }

// twoLevels and unmarked are how the maker certified attestation keys: by a CA below its
// root, and without basicConstraints.
func (f pivFeatures) twoLevels() bool { return f.since(5, 7) && f.firmware[2] >= 4 }
func (f pivFeatures) unmarked() bool  { return f.firmware == firmware{5, 2, 4} }

func (f pivFeatures) longRSA() bool { return f.since(5, 7) }

func newPIV(env environment) *piv {
	a := &piv{environment: env}
	if f := env.profile.piv; f.bio || f.fips || f.complexPINs {
		a.device = &yubicoDevice{env}
	}
	return a
}

func (a *piv) companion() application {
	if a.device == nil {
		return nil // and not a nil device in an interface
	}
	return a.device
}

func (a *piv) name() string { return pivName }

// aid is part 1, 2.2: RID of NIST, PIX with version 01.00.
func (a *piv) aid() []byte {
	if a.instance != nil {
		return a.instance
	}
	return pivAID()
}

func pivAID() []byte {
	return []byte{0xA0, 0x00, 0x00, 0x03, 0x08, 0x00, 0x00, 0x10, 0x00, 0x01, 0x00}
}

// historicalBytes are those by which YubiKeys are known; the standard has none.
func (a *piv) historicalBytes() []byte {
	switch f := a.profile.piv; {
	case f.since(5, 0):
		capabilities := byte(0x80)
		if a.profile.announcesExtendedLength {
			capabilities |= 0x40
		}
		return append([]byte{0x80, 0x73, 0xC0, 0x21, capabilities}, "YubiKey"...)
	case f.yubico():
		return []byte("Yubikey4")
	}
	return nil
}

// selected is section 3.1.1, the application property template of table 3.
func (a *piv) selected(byte) ([]byte, iso7816.Status) {
	const tagTemplate, tagIdentifier, tagAuthority, tagLabel = 0x61, 0x4F, 0x79, 0x50
	aid := a.aid()
	template := iso7816.AppendTLV(nil, tagIdentifier, aid[5:])
	template = iso7816.AppendTLV(template, tagAuthority, iso7816.AppendTLV(nil, tagIdentifier, aid[:5]))
	if !a.profile.piv.yubico() {
		template = iso7816.AppendTLV(template, tagLabel, []byte("PIV"))
	}
	return iso7816.AppendTLV(nil, tagTemplate, template), iso7816.StatusOK
}

// impliesLe is what YubiKeys do, and what Yubico's programs count on.
func (a *piv) impliesLe() bool { return a.profile.piv.yubico() }

func (a *piv) deselect() {
	a.pinVerified, a.pinFresh, a.managed = false, false, false
	a.challenge, a.witness = nil, nil
}

func (a *piv) marshal() (json.RawMessage, error) { return json.Marshal(a.state) }

func (a *piv) unmarshal(raw json.RawMessage) error { return restore(&a.state, raw) }

// takesName and keepsStatus are how it is selected.
func (a *piv) takesName(length int) bool {
	lengths := a.profile.piv.nameLengths
	return lengths == nil || slices.Contains(lengths, length)
}

func (a *piv) keepsStatus() bool { return a.profile.piv.keepsPIN }

// pinReference is that of the PIN.
func (a *piv) pinReference() byte {
	if a.profile.piv.globalPIN {
		return pivGlobalPIN
	}
	return pivApplicationPIN
}

// process is section 3, and Yubico's commands behind it.
func (a *piv) process(c iso7816.Command) ([]byte, iso7816.Status) {
	if c.CLA != 0 {
		return nil, iso7816.StatusCLANotSupported
	}
	fresh := a.pinFresh
	a.pinFresh = false
	switch c.INS {
	case iso7816.InsVerify:
		return nil, a.verify(c)
	case iso7816.InsChangeReferenceData:
		return nil, a.changeReferenceData(c)
	case iso7816.InsResetRetryCounter:
		return nil, a.resetRetryCounter(c)
	case insGetDataOdd:
		return a.getData(c)
	case iso7816.InsPutDataOdd:
		return nil, a.putData(c)
	case insGeneralAuthenticate:
		return a.generalAuthenticate(c, fresh)
	case iso7816.InsGenerateKeyPair:
		return a.generate(c)
	}
	if f := a.profile.piv; f.yubico() {
		return a.yubico(c, f)
	}
	return nil, iso7816.StatusINSNotSupported
}

const (
	insGetDataOdd          = 0xCB
	insGeneralAuthenticate = 0x87
)

// yubico are the commands of Yubico's "PIV extensions".
func (a *piv) yubico(c iso7816.Command, f pivFeatures) ([]byte, iso7816.Status) {
	const (
		insMoveKey, insMetadata, insSerial, insAttest = 0xF6, 0xF7, 0xF8, 0xF9
		insSetRetries, insReset, insVersion           = 0xFA, 0xFB, 0xFD
		insImport, insSetManagementKey                = 0xFE, 0xFF
	)
	switch c.INS {
	case insVersion:
		return f.firmware[:], iso7816.StatusOK
	case insSetRetries:
		return nil, a.setRetries(c)
	case insReset:
		return nil, a.reset(c)
	case insImport:
		return nil, a.importKey(c)
	case insSetManagementKey:
		return nil, a.setManagementKey(c)
	case insAttest:
		if f.attests() {
			return a.attest(c)
		}
	case insSerial:
		if f.tellsSerial() {
			return a.serial[:], iso7816.StatusOK
		}
	case insMetadata:
		if f.metadata() {
			return a.metadata(c)
		}
	case insMoveKey:
		if f.moves() {
			return nil, a.moveKey(c)
		}
	}
	return nil, iso7816.StatusINSNotSupported
}
