package cardsim

import (
	"cmp"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Data objects of part 1, table 3, and of Yubico.
const (
	pivDiscovery              iso7816.Tag = 0x7E
	pivBiometricGroup         iso7816.Tag = 0x7F61
	pivAttestationCertificate iso7816.Tag = 0x5FFF01

	pivObjectData = 0x53
	pivTagList    = 0x5C
)

// Lengths in bytes. A YubiKey has 51200 for all objects, and about 3 kB for one.
const (
	pivObjectLimit = 3052
	pivObjectsRoom = 51200
)

// pivByPIN are the objects that are read once the PIN was verified: printed
// information, fingerprints, face, iris.
func pivByPIN() []iso7816.Tag { return []iso7816.Tag{0x5FC109, 0x5FC103, 0x5FC108, 0x5FC121} }

// known says which objects a card has a place for: those of the standard, and on
// a YubiKey all from 5F0000 to 5FFFFF.
func (a *piv) known(tag iso7816.Tag) bool {
	switch {
	case tag == pivDiscovery || tag == pivBiometricGroup:
		return true
	case a.profile.piv.yubico():
		return tag>>16 == 0x5F
	}
	return tag >= 0x5FC101 && tag <= 0x5FC123 && tag != 0x5FC104
}

// getData is GET DATA, section 3.1.2.
func (a *piv) getData(c iso7816.Command) ([]byte, iso7816.Status) {
	if c.P1 != 0x3F || c.P2 != 0xFF {
		return nil, iso7816.StatusWrongP1P2
	}
	list, rest, err := iso7816.ParseTLV(c.Data)
	if err != nil || list.Tag != pivTagList || len(rest) != 0 {
		return nil, iso7816.StatusWrongData
	}
	tag, rest, err := iso7816.ParseTag(list.Value)
	if err != nil || len(rest) != 0 {
		return nil, iso7816.StatusWrongData
	}
	if slices.Contains(pivByPIN(), tag) && !a.pinVerified {
		return nil, iso7816.StatusSecurityNotSatisfied
	}
	value, stored := a.state.Objects[keyOf(tag)]
	switch {
	case tag == pivDiscovery:
		return a.discovery(), iso7816.StatusOK
	case !a.known(tag) || !stored && a.profile.piv.yubico():
		return nil, iso7816.StatusFileNotFound
	case tag == pivBiometricGroup:
		if !stored {
			return nil, iso7816.StatusFileNotFound
		}
		return iso7816.AppendTLV(nil, pivBiometricGroup, value), iso7816.StatusOK
	}
	const least = 64 // bytes of what is cut
	if a.profile.piv.cutsObjects && len(value) > least {
		whole := iso7816.AppendTLV(nil, pivObjectData, value)
		return whole[:len(whole)/2], iso7816.StatusOK
	}
	return iso7816.AppendTLV(nil, pivObjectData, value), iso7816.StatusOK // by the standard, a place without content is there
}

// discovery is part 1, 3.3.2: the PIN of the application alone, or the global one too,
// which is preferred.
func (a *piv) discovery() []byte {
	const tagAID, tagPolicy = 0x4F, 0x5F2F
	policy := []byte{0x40, 0x00}
	if a.profile.piv.globalPIN {
		policy = []byte{0x60, 0x20}
	}
	value := iso7816.AppendTLV(nil, tagAID, pivAID())
	return iso7816.AppendTLV(nil, pivDiscovery, iso7816.AppendTLV(value, tagPolicy, policy))
}

// putData is PUT DATA, section 3.3.1.
func (a *piv) putData(c iso7816.Command) iso7816.Status {
	switch {
	case !a.managed:
		return iso7816.StatusSecurityNotSatisfied
	case c.P1 != 0x3F || c.P2 != 0xFF:
		return iso7816.StatusWrongP1P2
	}
	tag, value, ok := putObject(c.Data)
	if !ok || tag == pivDiscovery {
		return iso7816.StatusWrongData
	}
	room := cmp.Or(a.profile.piv.room, pivObjectsRoom) - len(value)
	for other, stored := range a.state.Objects {
		if other != keyOf(tag) {
			room -= len(stored)
		}
	}
	switch {
	case !a.known(tag):
		return iso7816.StatusFileNotFound
	case len(value) > pivObjectLimit || room < 0:
		return iso7816.StatusNoSpace
	case len(value) == 0:
		delete(a.state.Objects, keyOf(tag))
	default:
		a.state.Objects[keyOf(tag)] = slices.Clone(value)
	}
	return a.save()
}

// putObject reads 5C with the tag and 53 with the content, or 7F61 itself.
func putObject(data []byte) (tag iso7816.Tag, value []byte, ok bool) {
	list, rest, err := iso7816.ParseTLV(data)
	if err != nil {
		return 0, nil, false
	}
	if list.Tag == pivDiscovery || list.Tag == pivBiometricGroup {
		return list.Tag, list.Value, len(rest) == 0
	}
	tag, after, err := iso7816.ParseTag(list.Value)
	if err != nil || list.Tag != pivTagList || len(after) != 0 {
		return 0, nil, false
	}
	content, rest, err := iso7816.ParseTLV(rest)
	return tag, content.Value, err == nil && content.Tag == pivObjectData && len(rest) == 0
}
