package gp

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// ErrCheckValue is a card that answered other key check values than the keys
// have.
var ErrCheckValue = errors.New("the card's key check values do not match the keys")

// NewKeys is a set of secure channel keys to put on a card.
type NewKeys struct {
	Keys   *KeySet
	Cipher Cipher

	// Replace is the version that goes away, 0 to add a set; Version is the new
	// one, 1 to 127, on cards of Open Platform 0 too.
	Replace, Version byte

	// Bare leaves out the length in clear before an AES key of 16 bytes, which
	// Amendment D wants and some old hosts do not send.
	Bare bool
}

// PutKeys is PUT KEY (11.8; Amendment D, 7.2) of a set of keys with the identifiers
// 1 to 3. The keys are encrypted with the data encryption key of the session, and
// the card's key check values are compared.
func (d *SecurityDomain) PutKeys(ctx context.Context, k NewKeys) error {
	if d.session == nil || d.session.closed {
		return ErrSessionClosed
	}
	if k.Version > 0x7F {
		return fmt.Errorf("key version %d is not in the range 1 to 127", k.Version)
	}
	values, err := k.Keys.CheckValues(k.Cipher)
	if err != nil {
		return err
	}
	data := putKeyData(d.session.messaging, k)
	defer clear(data)
	const allThree = 0x81 // several keys, the first has identifier 1
	answer, err := d.send(ctx, "PUT KEY", iso7816.Command{
		CLA: classGP, INS: insPutKey, P1: k.Replace, P2: allThree, Data: data, Ne: iso7816.MaxShortNe,
	})
	if err != nil {
		return err
	}
	return compareCheckValues(answer, k.Version, values)
}

// putKeyData is the data field of PUT KEY: the version, then each key.
func putKeyData(m messaging, k NewKeys) []byte {
	data := []byte{k.Version}
	for _, key := range k.Keys.all() {
		data = append(data, keyField(m, k.Cipher, key.Reveal(), k.Bare)...)
	}
	return data
}

// keyField is the field of a secret key (11.8.2.3.1; Amendment D, 7.2): its type, its
// encrypted value and its key check value. Of an AES key, the length in clear stands
// before its value.
func keyField(m messaging, c Cipher, key []byte, bare bool) []byte {
	encrypted := m.encryptKey(key)
	data := []byte{byte(c)}
	if c == AES && !(bare && len(key) == keyLength128) {
		data = append(data, byte(len(encrypted)+1), byte(len(key)))
	} else {
		data = append(data, byte(len(encrypted)))
	}
	data = append(data, encrypted...)
	value := checkValue(c, key)
	return append(append(data, byte(len(value))), value[:]...)
}

// compareCheckValues reads the answer to PUT KEY: the version and the key
// check values, which some cards leave out.
func compareCheckValues(answer []byte, version byte, values [3]CheckValue) error {
	if len(answer) == 0 {
		return nil
	}
	if answer[0] != version {
		return fmt.Errorf("%w: it answered key version %d instead of %d", ErrCheckValue, answer[0], version)
	}
	if len(answer) == 1 {
		return nil
	}
	if len(answer) != 1+len(values)*len(values[0]) {
		return malformed("PUT KEY answered %d bytes", len(answer))
	}
	for i, value := range values {
		if got := CheckValue(answer[1+i*len(value):]); got != value {
			return fmt.Errorf("%w: key %d has %s instead of %s", ErrCheckValue, i+1, got, value)
		}
	}
	return nil
}
