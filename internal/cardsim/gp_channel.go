package cardsim

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// secureChannel is a secure channel protocol and its parameter i, which says
// what the card does where the protocol leaves a choice.
type secureChannel struct {
	protocol byte // 1, 2 or 3
	i        byte
}

// Bits of the parameter i of SCP02 (Card Specification 2.3.1, E.1.1). SCP01
// has icvEncryption in the same place.
const (
	scp02ThreeKeys     = 0x01 // three keys; without it one base key
	scp02ICVEncryption = 0x10
	scp02ResponseMAC   = 0x20
	scp02PseudoRandom  = 0x40 // the card challenge can be computed
)

// Bits of the parameter i of SCP03 (Amendment D, 5.1).
const (
	scp03S16                = 0x01 // challenges, cryptograms and MACs of 16 bytes
	scp03PseudoRandom       = 0x10
	scp03ResponseMAC        = 0x20
	scp03ResponseEncryption = 0x40
)

// channels are the parameters that initiate a session explicitly.
func channels() []secureChannel {
	var list []secureChannel
	for protocol, parameters := range map[byte][]byte{
		1: {0x05, 0x15},
		2: {0x04, 0x05, 0x14, 0x15, 0x35, 0x44, 0x45, 0x54, 0x55, 0x64, 0x65, 0x74, 0x75},
		3: {0x00, 0x01, 0x10, 0x11, 0x20, 0x21, 0x30, 0x31, 0x60, 0x61, 0x70, 0x71},
	} {
		for _, i := range parameters {
			list = append(list, secureChannel{protocol, i})
		}
	}
	slices.SortFunc(list, func(a, b secureChannel) int { return strings.Compare(a.String(), b.String()) })
	return list
}

// SecureChannels are what Options.SecureChannel may hold.
func SecureChannels() []string {
	var names []string
	for _, c := range channels() {
		names = append(names, c.String())
	}
	return names
}

func (c secureChannel) String() string { return fmt.Sprintf("scp%02X-%02X", c.protocol, c.i) }

// channelNamed reads the name of a channel, and the length of the test keys
// behind it, in bytes.
func channelNamed(name string) (c secureChannel, keyLength int, err error) {
	base, size, sized := strings.Cut(strings.ToLower(name), "-aes")
	for _, c := range channels() {
		if strings.ToLower(c.String()) != base {
			continue
		}
		if !sized {
			return c, 16, nil
		}
		for _, length := range []int{16, 24, 32} {
			if c.protocol == 3 && size == fmt.Sprint(8*length) {
				return c, length, nil
			}
		}
	}
	return secureChannel{}, 0, fmt.Errorf("no secure channel of simulated cards is called %q: there are %s", name, strings.Join(SecureChannels(), ", "))
}

// allows reports whether EXTERNAL AUTHENTICATE may ask for the security level
// (Card Specification 2.3.1, D.4.2.3.1, E.5.2.3; Amendment D, 7.1.2.3).
func (c secureChannel) allows(level securityLevel) bool {
	switch level {
	case 0, levelMAC, levelMAC | levelDecryption:
		return true
	case levelResponseMAC:
		return c.protocol == 2 && c.i&scp02ResponseMAC != 0
	case levelMAC | levelResponseMAC, levelMAC | levelDecryption | levelResponseMAC:
		// The bit is the same one in SCP02 and SCP03.
		return c.protocol > 1 && c.i&scp03ResponseMAC != 0
	case levelMAC | levelDecryption | levelResponseMAC | levelResponseEncryption:
		const both = scp03ResponseMAC | scp03ResponseEncryption
		return c.protocol == 3 && c.i&both == both
	}
	return false
}

// keyLengths are those that a key of the protocol may have, in bytes.
func (c secureChannel) keyLengths() []int {
	if c.protocol == 3 {
		return []int{16, 24, 32}
	}
	return []int{16}
}

// challengeLength is that of the host's challenge, in bytes.
func (c secureChannel) challengeLength() int {
	if c.protocol == 3 && c.i&scp03S16 != 0 {
		return 16
	}
	return 8
}

// checkValue is the key check value of a key of the protocol, 3 bytes.
func (c secureChannel) checkValue(key []byte) []byte {
	if c.protocol == 3 {
		return aesCheckValue(key)
	}
	return desCheckValue(key)
}

// Key types of the Card Specification 2.3.1, 11.1.8.
const (
	keyTypeDES  = 0x80
	keyType3DES = 0x82 // triple DES in CBC mode
	keyTypeAES  = 0x88

	keyTypeRSAExponent = 0xA0 // of a public key, in clear
	keyTypeRSAModulus  = 0xA1
)

func (c secureChannel) keyType() byte {
	if c.protocol == 3 {
		return keyTypeAES
	}
	return keyTypeDES
}

// javaCardOptions are what Options say of a Java card.
type javaCardOptions struct {
	secureChannel string
	keys          [][]byte
	memory        int
}

func (o javaCardOptions) none() bool {
	return o.secureChannel == "" && len(o.keys) == 0 && o.memory == 0
}

// Key versions of a new card.
const (
	initialKeyVersion = 0xFF // keys that the first new key set replaces
	ownKeyVersion     = 0x01
)

// keySet makes the first keys of a card.
func (o javaCardOptions) keySet() (secureChannel, gpKeySet, error) {
	name := o.secureChannel
	if name == "" {
		name = secureChannel{2, 0x15}.String()
	}
	channel, length, err := channelNamed(name)
	if err != nil {
		return channel, gpKeySet{}, err
	}
	set := gpKeySet{Version: initialKeyVersion, Keys: [][]byte{wellKnownKey(length)}}
	if len(o.keys) > 0 {
		set = gpKeySet{Version: ownKeyVersion, Keys: o.keys}
	}
	switch same := allEqual(set.Keys); {
	case channel.baseKey() && same:
		set.Keys = set.Keys[:1]
	case len(set.Keys) == 1:
		set.Keys = [][]byte{set.Keys[0], set.Keys[0], set.Keys[0]}
	}
	return channel, set, set.check(channel)
}

func allEqual(keys [][]byte) bool {
	return !slices.ContainsFunc(keys, func(key []byte) bool { return !bytes.Equal(key, keys[0]) })
}

// wellKnownKey is the key that every blank card for developers has.
func wellKnownKey(length int) []byte {
	key := make([]byte, length)
	for i := range key {
		key[i] = 0x40 + byte(i)
	}
	return key
}

// baseKey reports whether one key serves for everything.
func (c secureChannel) baseKey() bool { return c.protocol == 2 && c.i&scp02ThreeKeys == 0 }

// gpKeySet is the keys of one version.
type gpKeySet struct {
	Version byte     `json:"version"`
	Keys    [][]byte `json:"keys"`    // encryption, MAC, key encryption; or one for all
	Counter uint32   `json:"counter"` // sessions that were begun with them

	// AES marks AES keys on a card whose own protocol is one of DES: they are for
	// SCP03.
	AES bool `json:"aes,omitempty"`
}

// channel is the secure channel that the keys are for, on a card with this one.
func (s *gpKeySet) channel(own secureChannel) secureChannel {
	if s.AES && own.protocol != 3 {
		return secureChannel{3, 0x70}
	}
	return own
}

func (s *gpKeySet) check(own secureChannel) error {
	c, want := s.channel(own), 3
	if c.baseKey() {
		want = 1
	}
	if len(s.Keys) != want {
		return fmt.Errorf("%d keys, and %s has %d", len(s.Keys), c, want)
	}
	for _, key := range s.Keys {
		if !slices.Contains(c.keyLengths(), len(key)) || len(key) != len(s.Keys[0]) {
			return fmt.Errorf("a key of %d bytes, which %s does not have", len(key), c)
		}
	}
	if s.Version == 0 {
		return errors.New("key version 00")
	}
	return nil
}

// keys are the three static keys.
func (s *gpKeySet) keys() (enc, mac, dek []byte) {
	if len(s.Keys) == 1 {
		return s.Keys[0], s.Keys[0], s.Keys[0]
	}
	return s.Keys[0], s.Keys[1], s.Keys[2]
}
