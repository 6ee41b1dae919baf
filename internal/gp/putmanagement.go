package gp

import (
	"context"
	"crypto/rsa"
	"fmt"
	"math/big"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// The types of the components of an RSA public key (11.1.8).
const (
	keyTypeRSAExponent = 0xA0
	keyTypeRSAModulus  = 0xA1
)

// ManagementKeys are the keys of a security domain for delegated management (9.2): it
// verifies tokens with the one, and makes receipts with the other.
type ManagementKeys struct {
	Token   *rsa.PublicKey
	Receipt []byte // of 16, or with AES of 16, 24 or 32 bytes
	Cipher  Cipher // of Receipt

	// Replace and Version are as in NewKeys; Bare too.
	Replace, Version byte
	Bare             bool
}

// PutManagementKeys is PUT KEY (11.8) of the keys for delegated management, with the
// identifiers 1 and 2. A token key that is too long for the way to the card is
// ErrTooLong.
func (d *SecurityDomain) PutManagementKeys(ctx context.Context, k ManagementKeys) error {
	if d.session == nil || d.session.closed {
		return ErrSessionClosed
	}
	if k.Cipher == TripleDES && len(k.Receipt) != keyLength128 {
		return unusable("the key for receipts has %d bytes, and this secure channel needs 16", len(k.Receipt))
	}
	data := putManagementKeysData(d.session.messaging, k)
	defer clear(data)
	const both = 0x81 // several keys, the first has identifier 1
	answer, err := d.send(ctx, "PUT KEY", iso7816.Command{
		CLA: classGP, INS: insPutKey, P1: k.Replace, P2: both, Data: data, Ne: iso7816.MaxShortNe,
	})
	if err != nil {
		return err
	}
	// The public key goes without a check value, and some cards answer one all the same.
	value := checkValue(k.Cipher, k.Receipt)
	if n := len(answer) - len(value); n > 0 && CheckValue(answer[n:]) != value {
		return fmt.Errorf("%w: the key for receipts has %s instead of %s", ErrCheckValue, CheckValue(answer[n:]), value)
	}
	return nil
}

// putManagementKeysData is the data field of PUT KEY: the version, then the components
// of the public key in clear, without a check value, and the other key as in putKeyData.
func putManagementKeysData(m messaging, k ManagementKeys) []byte {
	data := []byte{k.Version}
	for _, component := range []struct {
		kind  byte
		value []byte
	}{{keyTypeRSAModulus, k.Token.N.Bytes()}, {keyTypeRSAExponent, big.NewInt(int64(k.Token.E)).Bytes()}} {
		data = append(iso7816.AppendLength(append(data, component.kind), len(component.value)), component.value...)
	}
	const noCheckValue = 0
	return append(append(data, noCheckValue), keyField(m, k.Cipher, k.Receipt, k.Bare)...)
}
