package cardsim

import (
	"bytes"
	"maps"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// putData is PUT DATA with an even instruction, section 7.2.8.
func (a *openpgp) putData(c iso7816.Command) iso7816.Status {
	tag := a.addressed(c)
	if rule, ok := simpleObject(tag); ok {
		return a.putSimple(tag, rule, c.Data)
	}
	put := a.writer(tag)
	if put == nil {
		if a.readOnly(tag) {
			return iso7816.StatusSecurityNotSatisfied // writing is never allowed
		}
		return iso7816.StatusReferenceNotFound
	}
	if !a.has(pw3) {
		return iso7816.StatusSecurityNotSatisfied
	}
	return put(c.Data)
}

// readOnly says whether there is such an object, nobody being able to write it.
func (a *openpgp) readOnly(tag iso7816.Tag) bool {
	if a.template(tag) != nil {
		return true
	}
	if _, ok := a.readFixed(tag); ok {
		return true
	}
	_, ok := a.readModern(tag)
	return ok && a.profile.modern()
}

// writer is what PUT DATA of an object with a meaning does, PW3 verified; nil
// where it cannot be written.
func (a *openpgp) writer(tag iso7816.Tag) func([]byte) iso7816.Status {
	index := func(first iso7816.Tag) slot { return slot(tag - first) }
	switch tag {
	case tagAttributes, tagAttributes + 1, tagAttributes + 2:
		return func(data []byte) iso7816.Status { return a.putAttributes(index(tagAttributes), data) }
	case tagPasswordStatus:
		return a.putPasswordStatus
	case tagFingerprint, tagFingerprint + 1, tagFingerprint + 2:
		return func(data []byte) iso7816.Status {
			return a.putExact(&a.state.Keys[index(tagFingerprint)].Fingerprint, data, fingerprintLength)
		}
	case tagCAFingerprint, tagCAFingerprint + 1, tagCAFingerprint + 2:
		return func(data []byte) iso7816.Status {
			return a.putExact(&a.state.CAFingerprints[index(tagCAFingerprint)], data, fingerprintLength)
		}
	case tagTime, tagTime + 1, tagTime + 2:
		return func(data []byte) iso7816.Status {
			return a.putExact(&a.state.Keys[index(tagTime)].Created, data, timeLength)
		}
	case tagCertificate:
		return a.putCertificate
	case tagResettingCode:
		return a.putResettingCode
	}
	if _, ok := a.readInteraction(tag); ok {
		return func(data []byte) iso7816.Status { return a.putUIF(int(index(tagUIF)), data) }
	}
	if _, ok := a.readAttestation(tag); ok && tag == tagAttestationCertificate {
		return a.putAttestationCertificate
	}
	if !a.profile.modern() {
		return nil
	}
	switch tag {
	case tagAESKey:
		return a.putAESKey
	case tagKDF:
		return a.putKDF
	}
	return nil
}

func (a *openpgp) putSimple(tag iso7816.Tag, rule objectRule, data []byte) iso7816.Status {
	switch {
	case !a.has(rule.write):
		return iso7816.StatusSecurityNotSatisfied
	case len(data) > rule.most:
		return iso7816.StatusWrongLength
	case tag == tagLanguages && len(data)%2 != 0:
		return iso7816.StatusWrongLength
	case tag == tagSex && (len(data) != 1 || !bytes.Contains([]byte("0129"), data)):
		return iso7816.StatusWrongData
	}
	a.state.Objects = maps.Clone(a.state.Objects)
	a.state.Objects[keyOf(tag)] = bytes.Clone(data)
	return a.save()
}

func (a *openpgp) putExact(field *[]byte, data []byte, length int) iso7816.Status {
	if len(data) != length {
		return iso7816.StatusWrongLength
	}
	*field = bytes.Clone(data)
	return a.save()
}

// User interaction flags, section 4.4.3.6, and the two that a YubiKey has besides.
const (
	uifOff byte = iota
	uifOn
	uifPermanent
	uifCached
	uifPermanentCached
)

// putUIF is PUT DATA of DOs D6 to D9. A permanent flag is not changed any more.
func (a *openpgp) putUIF(which int, data []byte) iso7816.Status {
	most := uifPermanent
	if a.profile.yubikey.since(5, 2) {
		most = uifPermanentCached
	}
	switch {
	case len(data) != 2:
		return iso7816.StatusWrongLength
	case data[0] > most || data[1] != featureButton:
		return iso7816.StatusWrongData
	case a.state.UIF[which] == uifPermanent || a.state.UIF[which] == uifPermanentCached:
		return iso7816.StatusConditionsNotSatisfied
	}
	a.state.UIF[which] = data[0]
	return a.save()
}

// putAESKey is PUT DATA of DO D5: 16 or 32 bytes; empty data removes the key.
func (a *openpgp) putAESKey(data []byte) iso7816.Status {
	if len(data) != 0 && len(data) != 16 && len(data) != 32 {
		return iso7816.StatusWrongLength
	}
	a.state.AESKey = bytes.Clone(data)
	return a.save()
}
