package gp

import (
	"fmt"
	"slices"
	"strings"
)

// Diversification is how a card's keys are made of a master key and the key
// diversification data that the card answers to INITIALIZE UPDATE.
type Diversification string

// The ways of diversification.
const (
	NoDiversification    Diversification = ""
	DiversificationEMV   Diversification = "emv"   // EMV CPS 1.1, 4.1
	DiversificationVISA2 Diversification = "visa2" // VISA GlobalPlatform 2.0.1
	DiversificationKDF3  Diversification = "kdf3"  // NIST SP 800-108 with AES-CMAC
)

// DiversificationNames are the names of all ways of diversification.
func DiversificationNames() []string {
	return []string{string(DiversificationEMV), string(DiversificationVISA2), string(DiversificationKDF3)}
}

// ParseDiversification reads the name of a way of diversification.
func ParseDiversification(name string) (Diversification, error) {
	d := Diversification(name)
	if known := DiversificationNames(); name != "" && !slices.Contains(known, name) {
		return "", fmt.Errorf("unknown diversification %q; valid methods: %s", name, strings.Join(known, ", "))
	}
	return d, nil
}

// Diversify makes a card's keys of master keys and the card's key
// diversification data of 10 bytes. Without diversification it is a copy.
func (k *KeySet) Diversify(d Diversification, kdd []byte) (*KeySet, error) {
	if d == NoDiversification {
		return k.Clone(), nil
	}
	if len(kdd) != kddLength {
		return nil, fmt.Errorf("the key diversification data have %d bytes", len(kdd))
	}
	var keys [3][]byte
	for i, master := range k.all() {
		key, err := diversify(d, master.Reveal(), kdd, byte(i+1))
		if err != nil {
			return nil, err
		}
		defer clear(key)
		keys[i] = key
	}
	return NewKeySet(keys[0], keys[1], keys[2])
}

// diversify makes one key; purpose is 1 for ENC, 2 for MAC, 3 for DEK.
func diversify(d Diversification, master, kdd []byte, purpose byte) ([]byte, error) {
	if d == DiversificationKDF3 {
		context := slices.Concat([]byte{0, 0, 0, purpose, 0}, kdd)
		return kdf(master, nil, context, len(master)), nil
	}
	if len(master) != keyLength128 {
		return nil, unusable("the diversification %s needs keys of 16 bytes, and these have %d", d, len(master))
	}
	half := kdd[4:10]
	if d == DiversificationVISA2 {
		half = slices.Concat(kdd[0:2], kdd[4:8])
	}
	data := slices.Concat(half, []byte{0xF0, purpose}, half, []byte{0x0F, purpose})
	return ecb(tripleDES(master), data), nil
}
