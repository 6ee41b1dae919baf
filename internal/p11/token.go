package p11

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/miekg/pkcs11"
)

// Token is a token of a module: a card, or the part of it that one PIN opens.
type Token struct {
	Slot             uint   `json:"slot"`
	SlotDescription  string `json:"slotDescription"`
	SlotManufacturer string `json:"slotManufacturer"`
	Label            string `json:"label"`
	Manufacturer     string `json:"manufacturer"`
	Model            string `json:"model"`
	Serial           string `json:"serial"`

	// Initialized is false for a token that C_InitToken has yet to make.
	Initialized    bool `json:"initialized"`
	WriteProtected bool `json:"writeProtected"`
	LoginRequired  bool `json:"loginRequired"`
	// PINPad says that the PIN is typed at the reader or the token itself
	// (CKF_PROTECTED_AUTHENTICATION_PATH).
	PINPad bool `json:"pinPad"`

	UserPIN PINState `json:"userPin"`
	SOPIN   PINState `json:"soPin"`
	// MinPINLength and MaxPINLength are bytes.
	MinPINLength uint `json:"minPinLength"`
	MaxPINLength uint `json:"maxPinLength"`

	Mechanisms []Mechanism `json:"mechanisms"`
	// URI names the token (RFC 7512).
	URI string `json:"uri"`

	// placed says that the slot was asked where it is.
	placed bool
}

// PINState is what a token's flags say of a PIN.
type PINState struct {
	// Initialized is false where the PIN was never set; PKCS#11 does not say
	// it of the SO PIN, which then has it true.
	Initialized bool `json:"initialized"`
	// CountLow: there was at least one wrong try since the last right one.
	CountLow    bool `json:"countLow"`
	FinalTry    bool `json:"finalTry"`
	Locked      bool `json:"locked"`
	ToBeChanged bool `json:"toBeChanged"`
}

func (s PINState) String() string {
	switch {
	case s.Locked:
		return "blocked"
	case !s.Initialized:
		return "not set"
	case s.FinalTry:
		return "last try"
	case s.CountLow:
		return "few tries left"
	case s.ToBeChanged:
		return "has to be changed"
	}
	return "ok"
}

// Listing is what a module shows.
type Listing struct {
	Path        string  `json:"path"`
	Description string  `json:"description"`
	Tokens      []Token `json:"tokens"`
}

// Tokens are the tokens in the slots of the module, in the module's order. What each
// mechanism can do is another call for every one of them: without details, only their
// names are asked for.
func (m *Module) Tokens(ctx context.Context, details bool) ([]Token, error) {
	return m.present(ctx, func(slot uint) (Token, error) {
		t, err := m.state(slot)
		if err == nil {
			t.Mechanisms, err = m.mechanisms(slot, details)
		}
		return t, err
	})
}

// States are the tokens without their mechanisms, which are many calls.
func (m *Module) States(ctx context.Context) ([]Token, error) { return m.present(ctx, m.state) }

// present are the tokens in the slots, as far as read tells of them.
func (m *Module) present(ctx context.Context, read func(slot uint) (Token, error)) ([]Token, error) {
	list := m.library.slots
	if m.listed.CompareAndSwap(false, true) { // the readers are those that C_Initialize found
		list = m.library.knownSlots
	}
	slots, err := call(ctx, m, "C_GetSlotList", list)
	if err != nil {
		return nil, err
	}
	tokens := make([]Token, 0, len(slots))
	for i, slot := range slots {
		if slices.Contains(slots[:i], slot) { // a slot is one, however often it is listed
			continue
		}
		t, err := call(ctx, m, "C_GetTokenInfo", func() (Token, error) { return read(slot) })
		switch {
		case CodeOf(err).isGone(): // pulled out since the list was made
		case err != nil:
			return nil, err
		default:
			tokens = append(tokens, t)
		}
	}
	return tokens, nil
}

func (m *Module) mechanisms(slot uint, details bool) ([]Mechanism, error) {
	ids, err := m.library.mechanisms(slot)
	if err != nil {
		return nil, err
	}
	list := make([]Mechanism, 0, len(ids))
	for _, id := range ids {
		var info mechanismInfo
		if details {
			if info, err = m.library.mechanismInfo(slot, id); err != nil {
				return nil, err
			}
		}
		list = append(list, newMechanism(id, info))
	}
	return list, nil
}

// state is what changes of a token: everything but its mechanisms.
func (m *Module) state(slot uint) (Token, error) {
	place, err := m.library.slotInfo(slot)
	if err != nil {
		return Token{}, err
	}
	t, err := m.unplaced(slot)
	t.SlotDescription, t.SlotManufacturer, t.placed = trim(place.description), trim(place.manufacturer), true
	return t, err
}

// candidates are the tokens in the slots as far as it takes to find the one that
// the URI names. The session tells where that is.
func (m *Module) candidates(ctx context.Context, u URI) ([]Token, error) {
	for _, attribute := range []string{AttrSlotDescription, AttrSlotManufacturer} {
		if _, has := u.Get(attribute); has {
			return m.present(ctx, m.state)
		}
	}
	return m.present(ctx, m.unplaced)
}

// unplaced is the state of a token without its place.
func (m *Module) unplaced(slot uint) (Token, error) {
	info, err := m.library.tokenInfo(slot)
	if err != nil {
		return Token{}, err
	}
	has := func(flag uint) bool { return info.flags&flag != 0 }
	t := Token{
		Slot:           slot,
		Label:          trim(info.label),
		Manufacturer:   trim(info.manufacturer),
		Model:          trim(info.model),
		Serial:         trim(info.serial),
		Initialized:    has(pkcs11.CKF_TOKEN_INITIALIZED),
		WriteProtected: has(pkcs11.CKF_WRITE_PROTECTED),
		LoginRequired:  has(pkcs11.CKF_LOGIN_REQUIRED),
		PINPad:         has(pkcs11.CKF_PROTECTED_AUTHENTICATION_PATH),
		UserPIN: PINState{
			Initialized: has(pkcs11.CKF_USER_PIN_INITIALIZED),
			CountLow:    has(pkcs11.CKF_USER_PIN_COUNT_LOW),
			FinalTry:    has(pkcs11.CKF_USER_PIN_FINAL_TRY),
			Locked:      has(pkcs11.CKF_USER_PIN_LOCKED),
			ToBeChanged: has(pkcs11.CKF_USER_PIN_TO_BE_CHANGED),
		},
		SOPIN: PINState{
			Initialized: true,
			CountLow:    has(pkcs11.CKF_SO_PIN_COUNT_LOW),
			FinalTry:    has(pkcs11.CKF_SO_PIN_FINAL_TRY),
			Locked:      has(pkcs11.CKF_SO_PIN_LOCKED),
			ToBeChanged: has(pkcs11.CKF_SO_PIN_TO_BE_CHANGED),
		},
		MinPINLength: info.minPINLength,
		MaxPINLength: info.maxPINLength,
	}
	t.URI = t.uri().String()
	return t, nil
}

// uri names the token by what it says of itself. What it leaves empty is left
// out, for an attribute that is absent matches everything.
func (t Token) uri() URI {
	var u URI
	for _, a := range []Attribute{
		{AttrToken, t.Label},
		{AttrManufacturer, t.Manufacturer},
		{AttrModel, t.Model},
		{AttrSerial, t.Serial},
	} {
		if a.Value != "" {
			u.Path = append(u.Path, a)
		}
	}
	return u
}

// matches reports whether the URI names this token of the module.
func (m *Module) matches(u URI, t Token) bool {
	for _, a := range u.Path {
		var is string
		switch a.Name {
		case AttrToken:
			is = t.Label
		case AttrManufacturer:
			is = t.Manufacturer
		case AttrSerial:
			is = t.Serial
		case AttrModel:
			is = t.Model
		case AttrSlotDescription:
			is = t.SlotDescription
		case AttrSlotManufacturer:
			is = t.SlotManufacturer
		case AttrSlotID:
			is = strconv.FormatUint(uint64(t.Slot), 10)
		case AttrLibraryManufacturer:
			is = trim(m.about.manufacturer)
		case AttrLibraryDescription:
			is = trim(m.about.description)
		case AttrLibraryVersion:
			if !sameVersion(a.Value, m.about.major, m.about.minor) {
				return false
			}
			continue
		default:
			continue // of an object
		}
		if a.Value != is {
			return false
		}
	}
	return true
}

// sameVersion compares as RFC 7512, 2.3 says: a minor version that is not
// given is 0.
func sameVersion(version string, major, minor byte) bool {
	givenMajor, givenMinor, _ := strings.Cut(version, ".")
	if givenMinor == "" {
		givenMinor = "0"
	}
	a, errA := strconv.ParseUint(givenMajor, 10, 8)
	b, errB := strconv.ParseUint(givenMinor, 10, 8)
	return errA == nil && errB == nil && byte(a) == major && byte(b) == minor
}

// trim takes off what pads the fixed-length strings of PKCS#11: blanks, or in
// careless modules zeros.
func trim(s string) string { return strings.TrimRight(s, " \x00") }

// onPrompt is what a token says of itself as a prompt can show it: control
// characters, and those that change the direction of writing, as Go escapes them.
func onPrompt(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0 {
		return s
	}
	return strings.Trim(strconv.Quote(s), `"`)
}

// IsCalled reports whether this is the label of the token. OpenSC has full stops for
// colons in it, in newer versions.
func (t Token) IsCalled(label string) bool {
	return t.Label == label || t.Label == strings.ReplaceAll(label, ":", ".")
}

// IsCard reports whether the token is the card with this serial number, or a
// part of it. A module has 16 characters for a serial and fills them in its own
// way: OpenSC with the card's, or its last 16 digits; Scute with the form that
// GnuPG displays, with blanks, or with the label holding the whole OpenPGP
// application identifier (32 digits: the serial is the 17th to the 28th).
func (t Token) IsCard(serial string) bool {
	const field, aid, registered = 16, 32, "D27600012401"
	serial = plainSerial(serial)
	own, label := plainSerial(t.Serial), plainSerial(t.Label)
	switch {
	case serial == "":
		return false
	case len(label) == aid && strings.HasPrefix(label, registered):
		return label[16:28] == serial
	case len(serial) > field && len(own) == field:
		return strings.HasSuffix(serial, own)
	}
	return own == serial
}

func plainSerial(s string) string {
	return strings.ToUpper(strings.ReplaceAll(s, " ", ""))
}
