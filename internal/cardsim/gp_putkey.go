package cardsim

import (
	"bytes"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// maxKeySets is how many versions of keys the card keeps.
const maxKeySets = 8

// maxKeyVersion is the greatest that PUT KEY may give (11.8.2.3.1).
const maxKeyVersion = 0x7F

// putKey is PUT KEY (11.8): P1 is the version that is replaced, 00 for a new
// one; P2 the identifier of the first key, and whether several come. A single key
// replaces one of a set. The answer is the version and the check values. AES keys
// are taken on a card of DES too, and are for SCP03; the other way round they are
// not.
func (a *gp) putKey(c iso7816.Command) ([]byte, iso7816.Status) {
	const several, first, last = 0x80, 0x01, 0x03
	channel := a.state.channel()
	if len(c.Data) == 0 {
		return nil, iso7816.StatusWrongLength
	}
	if c.P1&several != 0 && c.P1 != initialKeyVersion {
		return nil, iso7816.StatusFunctionNotSupported // keys in more than one command
	}
	identifier := c.P2 &^ several
	if identifier != first && (c.P2&several != 0 || identifier > last || identifier == 0) {
		return nil, iso7816.StatusWrongP1P2
	}
	version := c.Data[0]
	if version == 0 || version > maxKeyVersion {
		return nil, iso7816.StatusWrongData
	}
	if c.P2&several != 0 && len(c.Data) > 1 && c.Data[1] == keyTypeRSAModulus {
		return a.putManagementKeys(c.P1, c.Data)
	}
	set := gpKeySet{Version: version}
	answer := []byte{version}
	for rest := c.Data[1:]; len(rest) > 0; {
		var key, value []byte
		var ok, aes bool
		key, value, rest, aes, ok = a.readKey(rest)
		if !ok || len(set.Keys) > 0 && aes != set.AES {
			return nil, iso7816.StatusWrongData
		}
		set.AES = aes
		set.Keys = append(set.Keys, key)
		answer = append(answer, value...)
	}
	if (len(set.Keys) > 1) != (c.P2&several != 0) {
		return nil, iso7816.StatusWrongData
	}
	if set.AES = set.AES && channel.protocol != 3; len(set.Keys) == 1 && !channel.baseKey() {
		if set, status := a.withKey(c.P1, set, identifier); status != iso7816.StatusOK {
			return nil, status
		} else if status := a.replaceKeys(c.P1, set); status != iso7816.StatusOK {
			return nil, status
		}
		return answer, iso7816.StatusOK
	}
	if channel.baseKey() && !set.AES {
		set.Keys = set.Keys[:min(1, len(set.Keys))] // hosts send three all the same
	}
	if set.check(channel) != nil {
		return nil, iso7816.StatusWrongData
	}
	if status := a.replaceKeys(c.P1, set); status != iso7816.StatusOK {
		return nil, status
	}
	return answer, iso7816.StatusOK
}

// withKey is a set with one of its keys replaced by the only one of another.
func (a *gp) withKey(version byte, single gpKeySet, identifier byte) (gpKeySet, iso7816.Status) {
	set := a.keySet(version)
	if version == 0 || set == nil {
		return single, iso7816.StatusReferenceNotFound
	}
	if single.AES != set.AES || single.Version != version {
		return single, iso7816.StatusConditionsNotSatisfied
	}
	changed := *set
	changed.Keys = slices.Clone(set.Keys)
	changed.Keys[identifier-1] = single.Keys[0]
	if changed.check(a.state.channel()) != nil {
		return single, iso7816.StatusWrongData
	}
	return changed, iso7816.StatusOK
}

// readKey reads a key data field (11.8.2.3.2): type, length, the key under the
// key encryption key, and its check value. Of an AES key the length in clear
// may stand before it, as Amendment D has it.
func (a *gp) readKey(data []byte) (key, value, rest []byte, aes, ok bool) {
	channel := a.state.channel()
	if len(data) < 2 {
		return nil, nil, nil, false, false
	}
	kind, length, data := data[0], int(data[1]), data[2:]
	if length >= len(data) {
		return nil, nil, nil, false, false
	}
	secret, data := data[:length], data[length:]
	clear := length
	switch aes = kind == keyTypeAES; {
	case aes:
		channel = secureChannel{protocol: 3}
		if length%8 == 1 {
			clear, secret = int(secret[0]), secret[1:]
		}
	case channel.protocol < 3 && (kind == keyTypeDES || kind == keyType3DES):
	default:
		return nil, nil, nil, aes, false
	}
	key = a.session.decryptKey(secret)
	if !slices.Contains(channel.keyLengths(), clear) || clear > len(key) || len(key) >= clear+16 {
		return nil, nil, nil, aes, false
	}
	key = key[:clear]
	value = channel.checkValue(key)
	n := int(data[0])
	if n > len(data)-1 {
		return nil, nil, nil, aes, false
	}
	if sent := data[1 : 1+n]; n > 0 && !bytes.Equal(sent, value) {
		return nil, nil, nil, aes, false
	}
	return key, value, data[1+n:], aes, true
}

// replaceKeys puts a set in the place of a version, or adds it. The initial
// keys are gone once there are others.
func (a *gp) replaceKeys(old byte, set gpKeySet) iso7816.Status {
	if a.domain != nil && len(a.domain.Keys) == 0 {
		// The first keys of its own, whatever the issuer's are.
		a.domain.Keys = []gpKeySet{set}
		return a.save()
	}
	sets := a.keySets()
	keys := slices.Clone(*sets)
	at := func(version byte) int {
		return slices.IndexFunc(keys, func(s gpKeySet) bool { return s.Version == version })
	}
	if m := a.state.Management; m != nil && m.Version == set.Version {
		return iso7816.StatusConditionsNotSatisfied
	}
	if i := at(set.Version); i >= 0 && set.Version != old {
		return iso7816.StatusConditionsNotSatisfied
	}
	if old == 0 {
		old = initialKeyVersion
		if at(old) < 0 {
			if len(keys) == maxKeySets {
				return iso7816.StatusNoSpace
			}
			*sets = append(keys, set)
			return a.save()
		}
	}
	i := at(old)
	if i < 0 {
		return iso7816.StatusReferenceNotFound
	}
	keys[i] = set
	*sets = keys
	return a.save()
}

// deleteKeys is DELETE of keys by version (11.2.2.3.2). The last set stays.
func (a *gp) deleteKeys(version byte) iso7816.Status {
	if m := a.state.Management; m != nil && m.Version == version && a.domain == nil {
		a.state.Management = nil
		return a.save()
	}
	sets := a.keySets()
	keys := slices.DeleteFunc(slices.Clone(*sets), func(s gpKeySet) bool { return s.Version == version })
	switch len(keys) {
	case len(*sets):
		return iso7816.StatusReferenceNotFound
	case 0:
		return iso7816.StatusConditionsNotSatisfied
	}
	*sets = keys
	return a.save()
}
