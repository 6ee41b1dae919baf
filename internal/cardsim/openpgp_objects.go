package cardsim

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Data objects of section 4.4.
const (
	tagPrivateUse1        iso7816.Tag = 0x0101
	tagPrivateUse2        iso7816.Tag = 0x0102
	tagPrivateUse3        iso7816.Tag = 0x0103
	tagPrivateUse4        iso7816.Tag = 0x0104
	tagAID                iso7816.Tag = 0x4F
	tagName               iso7816.Tag = 0x5B
	tagLogin              iso7816.Tag = 0x5E
	tagLanguages          iso7816.Tag = 0x5F2D
	tagSex                iso7816.Tag = 0x5F35
	tagURL                iso7816.Tag = 0x5F50
	tagHistoricalBytes    iso7816.Tag = 0x5F52
	tagCardholder         iso7816.Tag = 0x65
	tagApplicationRelated iso7816.Tag = 0x6E
	tagDiscretionary      iso7816.Tag = 0x73
	tagSecuritySupport    iso7816.Tag = 0x7A
	tagCertificate        iso7816.Tag = 0x7F21
	tagExtendedLength     iso7816.Tag = 0x7F66
	tagFeatures           iso7816.Tag = 0x7F74
	tagSignatureCounter   iso7816.Tag = 0x93
	tagCapabilities       iso7816.Tag = 0xC0
	tagAttributes         iso7816.Tag = 0xC1 // and C2, C3
	tagPasswordStatus     iso7816.Tag = 0xC4
	tagFingerprints       iso7816.Tag = 0xC5
	tagCAFingerprints     iso7816.Tag = 0xC6
	tagFingerprint        iso7816.Tag = 0xC7 // and C8, C9
	tagCAFingerprint      iso7816.Tag = 0xCA // and CB, CC
	tagTimes              iso7816.Tag = 0xCD
	tagTime               iso7816.Tag = 0xCE // and CF, D0
	tagResettingCode      iso7816.Tag = 0xD3
	tagAESKey             iso7816.Tag = 0xD5
	tagUIF                iso7816.Tag = 0xD6 // and D7, D8, D9
	tagKeyInformation     iso7816.Tag = 0xDE
	tagKDF                iso7816.Tag = 0xF9
	tagAlgorithms         iso7816.Tag = 0xFA

	// Those of Yubico's attestation key.
	tagAttestationAttributes  iso7816.Tag = 0xDA
	tagAttestationCertificate iso7816.Tag = 0xFC
)

// Lengths of data objects, in bytes.
const (
	fingerprintLength = 20
	timeLength        = 4
	nameLimit         = 39
	languagesLimit    = 8
	specialLimit      = 255 // objects "with no precise length information"
	challengeLimit    = 2048
)

// featureButton is the button bit of DO 7F74, which DOs D6 to D9 repeat.
const featureButton = 0x20

// templates are the constructed objects and what is in them, section 4.4.1.
func (a *openpgp) template(tag iso7816.Tag) []iso7816.Tag {
	switch tag {
	case tagCardholder:
		return []iso7816.Tag{tagName, tagLanguages, tagSex}
	case tagSecuritySupport:
		return []iso7816.Tag{tagSignatureCounter}
	case tagApplicationRelated:
		if !a.profile.modern() {
			return []iso7816.Tag{tagAID, tagHistoricalBytes, tagDiscretionary}
		}
		list := []iso7816.Tag{tagAID, tagHistoricalBytes, tagExtendedLength, tagFeatures, tagDiscretionary}
		if a.profile.noButton {
			list = slices.DeleteFunc(list, func(tag iso7816.Tag) bool { return tag == tagFeatures })
		}
		return list
	case tagDiscretionary:
		list := []iso7816.Tag{
			tagCapabilities, tagAttributes, tagAttributes + 1, tagAttributes + 2, tagPasswordStatus,
			tagFingerprints, tagCAFingerprints, tagTimes,
		}
		if a.profile.odd {
			list = append([]iso7816.Tag{tagCapabilities, tagAttributes, tagAttributes + 2, tagAttributes + 1}, list[4:]...)
		}
		if a.profile.modern() {
			list = append(list, tagKeyInformation)
		}
		if a.profile.modern() && a.interactive() {
			list = append(list, tagUIF, tagUIF+1, tagUIF+2, tagUIF+3)
		}
		if a.attestsKeys() {
			list = append(list, tagAttestationAttributes)
		}
		return list
	}
	return nil
}

// getData is GET DATA, section 7.2.6.
func (a *openpgp) getData(c iso7816.Command) ([]byte, iso7816.Status) {
	if len(c.Data) != 0 {
		return nil, iso7816.StatusWrongLength
	}
	tag := a.addressed(c)
	if status, refused := a.profile.refuses[tag]; refused {
		return nil, status
	}
	value, status := a.read(tag)
	if status != iso7816.StatusOK {
		return nil, status
	}
	if a.template(tag) == nil && tag != tagAlgorithms {
		return value, iso7816.StatusOK
	}
	if a.profile.outerTag {
		value = iso7816.AppendTLV(nil, tag, value)
	}
	switch {
	case a.profile.truncated:
		value = value[:min(len(value), 9)]
	case a.profile.garbled:
		// Never more than the real answer, so that only the content lies.
		_, _ = rand.Read(value)
	}
	return value, iso7816.StatusOK
}

// addressed is the data object that P1 and P2 name.
func (a *openpgp) addressed(c iso7816.Command) iso7816.Tag {
	tag := iso7816.Tag(c.P1)<<8 | iso7816.Tag(c.P2)
	if tag != tagCertificate && a.profile.forgetsOccurrence {
		a.certificate = 0
	}
	return tag
}

// read is the value of a data object, access conditions of section 4.4.1
// applied.
func (a *openpgp) read(tag iso7816.Tag) ([]byte, iso7816.Status) {
	if parts := a.template(tag); parts != nil {
		var value []byte
		for _, part := range parts {
			inner, status := a.read(part)
			if status != iso7816.StatusOK {
				return nil, status
			}
			value = iso7816.AppendTLV(value, part, inner)
		}
		return value, iso7816.StatusOK
	}
	if value, ok := a.readFixed(tag); ok {
		return value, iso7816.StatusOK
	}
	if value, ok := a.readInteraction(tag); ok {
		return value, iso7816.StatusOK
	}
	if a.profile.modern() {
		if value, ok := a.readModern(tag); ok {
			return value, iso7816.StatusOK
		}
	}
	if value, ok := a.readAttestation(tag); ok {
		return value, iso7816.StatusOK
	}
	switch tag {
	case tagCertificate:
		return a.readCertificate()
	case tagPrivateUse3:
		if !a.has(pw1Other) {
			return nil, iso7816.StatusSecurityNotSatisfied
		}
	case tagPrivateUse4:
		if !a.has(pw3) {
			return nil, iso7816.StatusSecurityNotSatisfied
		}
	case tagResettingCode, tagAESKey:
		return nil, iso7816.StatusSecurityNotSatisfied // never
	}
	if _, ok := simpleObject(tag); !ok {
		return nil, iso7816.StatusReferenceNotFound
	}
	return a.state.Objects[keyOf(tag)], iso7816.StatusOK
}

// readFixed are the objects that every version has and everybody may read.
func (a *openpgp) readFixed(tag iso7816.Tag) ([]byte, bool) {
	switch tag {
	case tagAID:
		return a.aid(), true
	case tagHistoricalBytes:
		return a.historicalBytes(), true
	case tagCapabilities:
		return a.extendedCapabilities(), true
	case tagAttributes, tagAttributes + 1, tagAttributes + 2:
		return a.state.Keys[tag-tagAttributes].Attributes, true
	case tagPasswordStatus:
		return a.passwordStatus(), true
	case tagFingerprints:
		return concat(a.state.Keys[0].Fingerprint, a.state.Keys[1].Fingerprint, a.state.Keys[2].Fingerprint), true
	case tagCAFingerprints:
		return concat(a.state.CAFingerprints[:]...), true
	case tagTimes:
		return concat(a.state.Keys[0].Created, a.state.Keys[1].Created, a.state.Keys[2].Created), true
	case tagFingerprint, tagFingerprint + 1, tagFingerprint + 2:
		return a.state.Keys[tag-tagFingerprint].Fingerprint, true
	case tagCAFingerprint, tagCAFingerprint + 1, tagCAFingerprint + 2:
		return a.state.CAFingerprints[tag-tagCAFingerprint], true
	case tagTime, tagTime + 1, tagTime + 2:
		return a.state.Keys[tag-tagTime].Created, true
	case tagSignatureCounter:
		return binary.BigEndian.AppendUint32(nil, a.state.SignatureCounter)[1:], true
	}
	return nil, false
}

// readModern are the objects that came with version 3.
func (a *openpgp) readModern(tag iso7816.Tag) ([]byte, bool) {
	switch tag {
	case tagExtendedLength:
		limit := []byte{byte(a.profile.commandLimit >> 8), byte(a.profile.commandLimit)}
		value := iso7816.AppendTLV(nil, 0x02, limit)
		return iso7816.AppendTLV(value, 0x02, limit), true
	case tagFeatures:
		return iso7816.AppendTLV(nil, 0x81, []byte{featureButton}), !a.profile.noButton
	case tagKeyInformation:
		var value []byte
		for i, k := range a.state.Keys {
			value = append(value, byte(i+1), byte(k.Origin))
		}
		if a.attestsKeys() {
			value = append(value, 0x81, byte(keyImported)) // the maker's
		}
		if a.profile.odd {
			value = append([]byte{0x81, 0x02}, append(value, 0x04)...) // a key of its own, and half an entry
		}
		return value, true
	case tagKDF:
		return a.state.KDF, true
	case tagAlgorithms:
		return a.algorithmInformation(), true
	}
	return nil, false
}

// interactive reports whether the keys have user interaction flags.
func (a *openpgp) interactive() bool {
	return a.profile.modern() && !a.profile.noButton || a.profile.yubikey.since(4, 2)
}

// readInteraction are the user interaction flags.
func (a *openpgp) readInteraction(tag iso7816.Tag) ([]byte, bool) {
	if tag < tagUIF || tag > tagUIF+3 || !a.interactive() {
		return nil, false
	}
	return []byte{a.state.UIF[tag-tagUIF], featureButton}, true
}

// extendedCapabilities is DO C0, section 4.4.3.7; before version 3 the last
// four bytes are the lengths of commands and answers.
func (a *openpgp) extendedCapabilities() []byte {
	const (
		getChallenge         = 0x40
		keyImport            = 0x20
		passwordStatusWrites = 0x10
		privateUse           = 0x08
		attributesWrite      = 0x04
		aes                  = 0x02
		keyDerived           = 0x01
	)
	flags := byte(getChallenge | keyImport | passwordStatusWrites | privateUse | attributesWrite)
	limit := a.profile.certificateLimit
	if !a.profile.modern() {
		return []byte{
			flags, 0, challengeLimit >> 8, challengeLimit & 0xFF, byte(limit >> 8), byte(limit),
			0, iso7816.MaxShortData, iso7816.MaxShortNe >> 8, iso7816.MaxShortNe & 0xFF,
		}
	}
	const pinBlock2, manageSecurity = 0, 1
	return []byte{
		flags | aes | keyDerived, 0, challengeLimit >> 8, challengeLimit & 0xFF, byte(limit >> 8), byte(limit),
		specialLimit >> 8, specialLimit & 0xFF, pinBlock2, manageSecurity,
	}
}

// objectRule is who may write an object that means nothing to the card, and
// how many bytes it may have.
type objectRule struct {
	write passwords
	most  int
}

func simpleObject(tag iso7816.Tag) (objectRule, bool) {
	switch tag {
	case tagPrivateUse1, tagPrivateUse3:
		return objectRule{write: pw1Other, most: specialLimit}, true
	case tagPrivateUse2, tagPrivateUse4:
		return objectRule{write: pw3, most: specialLimit}, true
	case tagName:
		return objectRule{write: pw3, most: nameLimit}, true
	case tagLogin, tagURL:
		return objectRule{write: pw3, most: specialLimit}, true
	case tagLanguages:
		return objectRule{write: pw3, most: languagesLimit}, true
	case tagSex:
		return objectRule{write: pw3, most: 1}, true
	}
	return objectRule{}, false
}

func keyOf(tag iso7816.Tag) simpleTag { return simpleTag(fmt.Sprintf("%04X", uint32(tag))) }

func concat(parts ...[]byte) []byte {
	var all []byte
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}
