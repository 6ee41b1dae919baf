package cardsim

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// DefaultProfile is the profile of a card for which none is named.
const DefaultProfile = "openpgp-3.4"

// profile is how a card behaves where cards differ.
type profile struct {
	name, description string
	change            func(*profile) // from a card of the default; nil for that

	// application is on a card that is made without naming any; empty means openpgp.
	application string

	// version is that of the OpenPGP application: 2.0 is 0x0200.
	version uint16

	// Transport: what the card does, and what its historical bytes say.
	t0                      bool // T=0: an answer to a command with data comes by GET RESPONSE
	moreForNothing          bool // T=0: 6100 after every command that asks for no data
	selectsAny              bool // 9000 to SELECT of any name
	chaining                bool
	noLeOnBlocks            bool // 6F00 to a chained block with Le, and to 261 bytes
	extendedLength          bool
	announcesExtendedLength bool
	commandLimit            int // bytes of a command's data, its chain undone
	exactLe                 bool
	endlessAnswers          bool

	// Data objects.
	certificates      int  // occurrences of DO 7F21
	certificateLimit  int  // bytes, as the extended capabilities say
	certificateRoom   int  // bytes the card takes
	forgetsOccurrence bool // any other data object makes occurrence 0 of 7F21 current
	absentCertificate iso7816.Status
	certificateTag    bool // GET DATA of 7F21 answers with its tag
	outerTag          bool // GET DATA of a template answers with its tag
	truncated         bool // GET DATA of a template is cut
	garbled           bool // GET DATA of a template is no BER-TLV
	refuses           map[iso7816.Tag]iso7816.Status
	odd               bool // objects have parts that are missing, or that nobody knows

	// Passwords.
	wrongPIN  countedStatus
	kdf       bool // key derived format in the factory state
	countsAny bool // tries for a resetting code that was never set

	// Keys.
	ec               bool
	ecGeneration     bool
	strictAttributes bool // one exponent length, one import format
	strictLengths    bool // of what is signed
	zeroBefore       bool // ECDSA: r and s have a zero in front
	noOldDigests     bool // RSA: a DigestInfo of SHA-1 or SHA-224 is refused
	noRoomForImport  bool // 6581 when the key before it is gone
	emptySlot        iso7816.Status

	terminate        bool
	terminateBlocked bool // only when PW1 and PW3 are blocked
	nobodyAtCard     bool // nobody confirms by the button
	noButton         bool // no user interaction flags
	kdfStored        bool // PUT DATA of the KDF leaves the passwords as they are

	yubikey firmware // of the OpenPGP application of a YubiKey; zero for another card

	isoApplet1 bool // API version 1.0 of IsoApplet, not 0.6
	noImport   bool // an IsoApplet that is built without key import

	piv        pivFeatures
	rsa4096    bool // an IsoApplet that announces RSA 4096 and PSS
	shortApart bool // READ BINARY by short identifier does not make the file current

	muscleFactoryPIN string // of a MUSCLE applet; empty for the usual one

	randomChallenge bool // SCP03: a challenge that was announced as pseudo-random is random
}

// countedStatus is the answer to a wrong password.
type countedStatus int

const (
	withTriesLeft    countedStatus = iota // 63Cx
	withoutTriesLeft                      // 6982
)

// version30 is the first version with SELECT DATA, KDF, key information, user
// interaction flags and elliptic curves.
const version30 = 0x0300

func (p *profile) modern() bool { return p.version >= version30 }

// ofVersion is the profile for an OpenPGP application that was installed with
// this version in its AID.
func (p *profile) ofVersion(version uint16) *profile {
	of := *p
	of.version = version
	if !of.modern() {
		of.old()
	}
	return &of
}

// old takes away what came with version 3.0.
func (p *profile) old() {
	p.certificates = 1
	p.outerTag = false
	p.wrongPIN = withoutTriesLeft
	p.ec = false
}

// Profile is what a card can be made as.
type Profile struct {
	Name        string `json:"name"`
	Description string `json:"description"` // one line
}

// Profiles lists the profiles, the default first.
func Profiles() []Profile {
	var list []Profile
	for _, p := range profiles() {
		list = append(list, Profile{Name: p.name, Description: p.description})
	}
	return list
}

// profileNamed is the profile of a name, or of several with + between them: the quirks
// of all of them, which have to be of one application.
func profileNamed(name string) (*profile, error) {
	var found *profile
	for _, part := range strings.Split(name, "+") {
		i := slices.IndexFunc(profiles(), func(p profile) bool { return p.name == part })
		if i < 0 {
			return nil, fmt.Errorf("no profile of simulated cards is called %q", part)
		}
		p := profiles()[i]
		switch {
		case found == nil:
			found = &p
			continue
		case found.application != "" && p.application != "" && found.application != p.application:
			return nil, fmt.Errorf("the profiles in %q are of different applications", name)
		case p.change == nil:
			return nil, fmt.Errorf("the profile %q adds nothing to another one", part)
		}
		p.change(found)
		found.name = name
		found.application = cmp.Or(found.application, p.application)
	}
	return found, nil
}

func profiles() []profile {
	modern := profile{
		version:                 0x0304,
		chaining:                true,
		extendedLength:          true,
		announcesExtendedLength: true,
		commandLimit:            4096,
		certificates:            3,
		certificateLimit:        2048,
		certificateRoom:         2048,
		absentCertificate:       iso7816.StatusOK,
		outerTag:                true,
		ec:                      true,
		ecGeneration:            true,
		emptySlot:               iso7816.StatusReferenceNotFound,
		terminate:               true,
		piv:                     pivFeatures{firmware: [3]byte{5, 4, 3}, emptyMetadata: iso7816.StatusReferenceNotFound},
	}
	old := modern
	old.version = 0x0200
	old.extendedLength = false
	old.announcesExtendedLength = false
	old.old()

	yubikey := func(name, description string, of firmware) profile {
		p := modern
		if !of.since(5, 2) {
			p = old
			p.version = 0x0201
			p.extendedLength = true
		}
		p.name, p.description, p.yubikey = name, description, of
		return p
	}
	quirk := func(name, description string, change func(*profile)) profile {
		p := modern
		p.name, p.description, p.change = name, description, change
		change(&p)
		return p
	}
	quirkOf := func(application, name, description string, change func(*profile)) profile {
		p := quirk(name, description, change)
		p.application = application
		return p
	}
	modern.name, modern.description = DefaultProfile, "OpenPGP card 3.4 with extended length and elliptic curves"
	old.name, old.description = "openpgp-2.0", "OpenPGP card 2.0: RSA only, one certificate, short APDUs"
	return []profile{
		modern,
		old,
		quirk("short-apdus", "no extended length; long commands use command chaining", func(p *profile) {
			p.extendedLength, p.announcesExtendedLength = false, false
		}),
		quirk("wrong-pin-6982", "answers a wrong PIN with 6982, without the tries left", func(p *profile) {
			p.wrongPIN = withoutTriesLeft
		}),
		quirk("certificate-limit-lies", "reports 2048 bytes for a certificate and accepts 944; 6581 on the last block", func(p *profile) {
			p.certificateRoom = 944
			p.extendedLength, p.announcesExtendedLength = false, false
		}),
		quirk("strict-rsa-attributes", "accepts RSA attributes only with its own exponent length and import format, 0011 00", func(p *profile) {
			p.strictAttributes = true
		}),
		quirk("strict-lengths", "signs only ECDSA digests of the curve's length and Ed25519 messages of up to 1024 bytes", func(p *profile) {
			p.strictLengths = true
		}),
		quirk("t0", "uses T=0: no extended length, and GET RESPONSE for every answer to a command with data", func(p *profile) {
			p.t0 = true
			p.extendedLength, p.announcesExtendedLength = false, false
		}),
		quirk("exact-le-6cxx", "answers 6Cxx unless Le is the exact length", func(p *profile) {
			p.exactLe = true
			p.extendedLength, p.announcesExtendedLength = false, false
		}),
		quirk("endless-61xx", "GET DATA never ends: always 61xx", func(p *profile) {
			p.endlessAnswers = true
		}),
		quirk("truncated-templates", "GET DATA of a template answers 9000 with its first 9 bytes", func(p *profile) {
			p.truncated = true
		}),
		quirk("garbage-templates", "GET DATA of a template answers 9000 with random bytes", func(p *profile) {
			p.garbled = true
		}),
		quirk("extended-length-refused", "announces extended length, but refuses it with 6700", func(p *profile) {
			p.extendedLength = false
		}),
		quirk("extended-length-unannounced", "supports extended length, but does not announce it", func(p *profile) {
			p.announcesExtendedLength = false
		}),
		quirk("chaining-refused", "announces command chaining, but refuses it with 6884", func(p *profile) {
			p.chaining = false
		}),
		quirk("empty-slot-6f00", "answers 6F00 for a missing key", func(p *profile) {
			p.emptySlot = iso7816.StatusUnknown
		}),
		quirk("absent-certificate-6a88", "answers 6A88 for a missing certificate", func(p *profile) {
			p.absentCertificate = iso7816.StatusReferenceNotFound
		}),
		quirk("absent-certificate-6a82", "answers 6A82 for a missing certificate", func(p *profile) {
			p.absentCertificate = iso7816.StatusFileNotFound
		}),
		quirk("absent-certificate-8800", "answers 8800 for a missing certificate", func(p *profile) {
			p.absentCertificate = 0x8800
		}),
		quirk("certificate-with-tag", "returns a certificate inside 7F21, and 7F2100 for a missing one", func(p *profile) {
			p.certificateTag = true
		}),
		quirk("occurrence-forgotten", "returns to the first certificate when another data object is read or written", func(p *profile) {
			p.forgetsOccurrence = true
		}),
		quirk("no-ec-generation", "imports elliptic curve keys, but cannot generate them", func(p *profile) {
			p.ecGeneration = false
		}),
		quirk("kdf", "PINs in key derived format (KDF-DO) in the factory state", func(p *profile) {
			p.kdf = true
		}),
		quirk("no-terminate", "supports neither TERMINATE DF nor ACTIVATE FILE", func(p *profile) {
			p.terminate = false
		}),
		quirk("terminate-when-blocked", "accepts TERMINATE DF only when both PINs are blocked; otherwise 6985", func(p *profile) {
			p.terminateBlocked = true
		}),
		quirk("reset-code-counted", "cannot be erased, and reports three tries for a resetting code that was never set", func(p *profile) {
			p.terminate, p.countsAny = false, true
		}),
		quirk("button-not-pressed", "nobody presses the button where a user interaction flag asks for it", func(p *profile) {
			p.nobodyAtCard = true
		}),
		quirk("no-button", "has no button, and no user interaction flags", func(p *profile) {
			p.noButton = true
		}),
		quirk("kdf-stored", "stores a KDF-DO, and leaves the PINs as they are", func(p *profile) {
			p.kdfStored = true
		}),
		yubikey("openpgp-yubikey-4", "OpenPGP of a YubiKey 4.3.7: version 2.1, RSA only; retry counts; touch policies outside of DO 6E", firmware{4, 3, 7}),
		yubikey("openpgp-yubikey-5", "OpenPGP of a YubiKey 5.4.3: attestation, cached touch, retry counts; SELECT DATA with a length byte", firmware{5, 4, 3}),
		yubikey("openpgp-yubikey-5.7", "OpenPGP of a YubiKey 5.7.1: attestation, cached touch, retry counts", firmware{5, 7, 1}),
		quirk("t0-6100", "uses T=0, and answers 6100 to every command that asks for no data", func(p *profile) {
			p.t0, p.moreForNothing = true, true
			p.extendedLength, p.announcesExtendedLength = false, false
		}),
		quirk("select-any", "answers 9000 without data to SELECT of any name", func(p *profile) {
			p.selectsAny = true
		}),
		quirk("objects-refused", "refuses single data objects: 6E00, 6982 or 6985", func(p *profile) {
			p.refuses = map[iso7816.Tag]iso7816.Status{
				tagCardholder: iso7816.StatusCLANotSupported, tagLogin: iso7816.StatusSecurityNotSatisfied,
				tagURL: iso7816.StatusConditionsNotSatisfied, tagSecuritySupport: iso7816.StatusCLANotSupported,
				tagAlgorithms: iso7816.StatusConditionsNotSatisfied,
			}
		}),
		quirk("kdf-unreadable", "refuses to show whether its PINs are in key derived format: 6982", func(p *profile) {
			p.kdf = true
			p.refuses = map[iso7816.Tag]iso7816.Status{tagKDF: iso7816.StatusSecurityNotSatisfied}
		}),
		quirk("odd-objects", "key information and algorithm attributes have parts that are missing or unknown", func(p *profile) {
			p.odd = true
		}),
		quirk("ecdsa-33", "ECDSA signatures have a zero in front of both halves", func(p *profile) {
			p.zeroBefore = true
		}),
		quirk("no-sha1", "refuses RSA signatures over SHA-1 and SHA-224 with 6A80", func(p *profile) {
			p.noOldDigests = true
		}),
		quirk("no-room-for-import", "answers 6581 to a key import, after the previous key is gone", func(p *profile) {
			p.noRoomForImport = true
		}),
		quirkOf(isoAppletName, "isoapplet-rsa4096", "IsoApplet that reports support for RSA 4096 and PSS", func(p *profile) {
			p.rsa4096 = true
		}),
		quirkOf(isoAppletName, "isoapplet-short-ids", "IsoApplet on which a short file identifier does not select the file", func(p *profile) {
			p.shortApart = true
			p.extendedLength, p.announcesExtendedLength = false, false
		}),
		quirkOf(gpName, "scp03-random-challenge", "Java card that announces pseudo-random SCP03 challenges and sends random ones", func(p *profile) {
			p.randomChallenge = true
		}),
		quirkOf(muscleName, "muscle-factory-pin", "MUSCLE applet with the factory PIN Muscle99", func(p *profile) {
			p.muscleFactoryPIN = "Muscle99"
		}),
		quirkOf(isoAppletName, "isoapplet-1.0", "IsoApplet (PKCS#15) with API version 1.0, on which not every OpenSC can generate keys", func(p *profile) {
			p.isoApplet1 = true
			p.chaining = false
		}),
		quirkOf(isoAppletName, "isoapplet-no-import", "IsoApplet built without key import: 6900", func(p *profile) {
			p.noImport = true
		}),
		quirkOf(pivName, "piv-nist", "PIV card with the minimum of SP 800-73-4: none of Yubico's commands, no extended length", func(p *profile) {
			p.extendedLength, p.announcesExtendedLength = false, false
			p.piv = pivFeatures{}
		}),
		quirkOf(pivName, "piv-yubikey-4", "PIV of a YubiKey 4.3.1: attestation and import, no metadata, 3DES management key", func(p *profile) {
			p.announcesExtendedLength = false
			p.piv.firmware = [3]byte{4, 3, 1}
		}),
		quirkOf(pivName, "piv-yubikey-5", "PIV of a YubiKey 5.4.3: metadata, and AES management keys", func(*profile) {}),
		quirkOf(pivName, "piv-yubikey-5.7", "PIV of a YubiKey 5.7.4: AES-192 from the factory, more algorithms; keys can be moved and deleted", func(p *profile) {
			p.piv.firmware = [3]byte{5, 7, 4}
		}),
		quirkOf(pivName, "piv-yubikey-5.2", "PIV of a YubiKey 5.2.4: no metadata; its attestation certificate has no basicConstraints", func(p *profile) {
			p.piv.firmware = [3]byte{5, 2, 4}
		}),
		quirkOf(pivName, "piv-attestation-odd", "PIV attestation wraps plain bytes into OCTET STRING, and has the serial as plain bytes", func(p *profile) {
			p.piv.oddStatement = true
		}),
		quirkOf(pivName, "piv-aid-5", "PIV that SELECT finds by the first 5 bytes of its name alone", func(p *profile) {
			p.piv.nameLengths = []int{5}
		}),
		quirkOf(pivName, "piv-aid-9", "PIV that SELECT finds by 9 or 11 bytes of its name, not by 5", func(p *profile) {
			p.piv.nameLengths = []int{9, 11}
		}),
		quirkOf(pivName, "piv-no-le-in-chain", "PIV card that answers 6F00 to chained blocks with Le, and to short commands of 261 bytes", func(p *profile) {
			p.noLeOnBlocks = true
			p.extendedLength, p.announcesExtendedLength = false, false
		}),
		quirkOf(pivName, "piv-tries-630x", "PIV of a YubiKey 5.2.4 that reports the tries left as 630x", func(p *profile) {
			p.piv.firmware, p.piv.oldTries = [3]byte{5, 2, 4}, true
		}),
		quirkOf(pivName, "piv-pin-stays", "PIV of a YubiKey 5.2.4 on which SELECT leaves the PIN verified", func(p *profile) {
			p.piv.firmware, p.piv.keepsPIN = [3]byte{5, 2, 4}, true
		}),
		quirkOf(pivName, "piv-global-pin", "PIV of a YubiKey 5.2.4 whose discovery object names the global PIN", func(p *profile) {
			p.piv.firmware, p.piv.globalPIN = [3]byte{5, 2, 4}, true
		}),
		quirkOf(pivName, "piv-full", "PIV of a YubiKey 5.4.3 with room for one certificate beside that of its attestation key", func(p *profile) {
			p.piv.room = 1200
		}),
		quirkOf(pivName, "piv-object-cut", "PIV of a YubiKey 5.4.3 that returns half of each certificate", func(p *profile) {
			p.piv.cutsObjects = true
		}),
		quirkOf(pivName, "piv-short-apdus", "PIV of a YubiKey 5.4.3 without extended length", func(p *profile) {
			p.extendedLength, p.announcesExtendedLength = false, false
		}),
		quirkOf(pivName, "piv-metadata-type-only", "GET METADATA of the PIV management key reports its type alone, and calls every key imported", func(p *profile) {
			p.piv.metadataTypeOnly, p.piv.saysImported = true, true
		}),
		quirkOf(pivName, "piv-reset-refused", "PIV of a YubiKey 5.4.3 that refuses every reset with 6985", func(p *profile) {
			p.piv.refusesReset = true
		}),
		quirkOf(pivName, "piv-bio", "PIV of a YubiKey Bio 5.7.2 with fingerprints, which does not reset PIV alone", func(p *profile) {
			p.piv.firmware, p.piv.bio, p.piv.fingerprints = [3]byte{5, 7, 2}, true, true
		}),
		quirkOf(pivName, "piv-bio-new", "PIV of a YubiKey Bio 5.7.2 without fingerprints, whose numbers of tries are fixed", func(p *profile) {
			p.piv.firmware, p.piv.bio = [3]byte{5, 7, 2}, true
		}),
		quirkOf(pivName, "piv-fips", "PIV of a YubiKey 5.7.4 FIPS: PIN and PUK of eight characters, fixed numbers of tries", func(p *profile) {
			p.piv.firmware, p.piv.fips = [3]byte{5, 7, 4}, true
		}),
		quirkOf(pivName, "piv-pin-complexity", "PIV of a YubiKey 5.7.4 with rules for PINs, and fixed numbers of tries", func(p *profile) {
			p.piv.firmware, p.piv.complexPINs = [3]byte{5, 7, 4}, true
		}),
		quirkOf(pivName, "piv-empty-slot-6a86", "GET METADATA of an empty PIV slot answers 6A86", func(p *profile) {
			p.piv.emptyMetadata = iso7816.StatusWrongP1P2
		}),
	}
}
