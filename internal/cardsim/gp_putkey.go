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
// one; P2 the identifier of the first key, and whether several come. The
// answer is the version and the check values.
func (a *gp) putKey(c iso7816.Command) ([]byte, iso7816.Status) {
	const several, first = 0x80, 0x01
	channel := a.state.channel()
	if len(c.Data) == 0 {
		return nil, iso7816.StatusWrongLength
	}
	if c.P1&several != 0 && c.P1 != initialKeyVersion {
		return nil, iso7816.StatusFunctionNotSupported // keys in more than one command
	}
	if c.P2&^several != first {
		return nil, iso7816.StatusWrongP1P2
	}
	version := c.Data[0]
	if version == 0 || version > maxKeyVersion {
		return nil, iso7816.StatusWrongData
	}
	set := gpKeySet{Version: version}
	answer := []byte{version}
	for rest := c.Data[1:]; len(rest) > 0; {
		var key, value []byte
		var ok bool
		key, value, rest, ok = a.readKey(rest)
		if !ok {
			return nil, iso7816.StatusWrongData
		}
		set.Keys = append(set.Keys, key)
		answer = append(answer, value...)
	}
	if (len(set.Keys) > 1) != (c.P2&several != 0) {
		return nil, iso7816.StatusWrongData
	}
	if channel.baseKey() {
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

// readKey reads a key data field (11.8.2.3.2): type, length, the key under the
// key encryption key, and its check value. Of an AES key the length in clear
// may stand before it, as Amendment D has it.
func (a *gp) readKey(data []byte) (key, value, rest []byte, ok bool) {
	channel := a.state.channel()
	if len(data) < 2 {
		return nil, nil, nil, false
	}
	kind, length, data := data[0], int(data[1]), data[2:]
	if length >= len(data) {
		return nil, nil, nil, false
	}
	secret, data := data[:length], data[length:]
	clear := length
	switch {
	case channel.protocol == 3 && kind == keyTypeAES:
		if length%16 == 1 {
			clear, secret = int(secret[0]), secret[1:]
		}
	case channel.protocol < 3 && (kind == keyTypeDES || kind == keyType3DES):
	default:
		return nil, nil, nil, false
	}
	key = a.session.decryptKey(secret)
	if !slices.Contains(channel.keyLengths(), clear) || clear > len(key) || len(key) >= clear+16 {
		return nil, nil, nil, false
	}
	key = key[:clear]
	value = channel.checkValue(key)
	n := int(data[0])
	if n > len(data)-1 {
		return nil, nil, nil, false
	}
	if sent := data[1 : 1+n]; n > 0 && !bytes.Equal(sent, value) {
		return nil, nil, nil, false
	}
	return key, value, data[1+n:], true
}

// replaceKeys puts a set in the place of a version, or adds it. The initial
// keys are gone once there are others.
func (a *gp) replaceKeys(old byte, set gpKeySet) iso7816.Status {
	keys := slices.Clone(a.state.Keys)
	at := func(version byte) int {
		return slices.IndexFunc(keys, func(s gpKeySet) bool { return s.Version == version })
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
			a.state.Keys = append(keys, set)
			return a.save()
		}
	}
	i := at(old)
	if i < 0 {
		return iso7816.StatusReferenceNotFound
	}
	keys[i] = set
	a.state.Keys = keys
	return a.save()
}

// deleteKeys is DELETE of keys by version (11.2.2.3.2). The last set stays.
func (a *gp) deleteKeys(version byte) iso7816.Status {
	keys := slices.DeleteFunc(slices.Clone(a.state.Keys), func(s gpKeySet) bool { return s.Version == version })
	switch len(keys) {
	case len(a.state.Keys):
		return iso7816.StatusReferenceNotFound
	case 0:
		return iso7816.StatusConditionsNotSatisfied
	}
	a.state.Keys = keys
	return a.save()
}
