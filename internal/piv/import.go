package piv

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

// Import is Yubico's IMPORT ASYMMETRIC KEY, over whatever is in the slot, after Manage.
// Policies are sent where they are not 0.
func (c *Card) Import(ctx context.Context, slot Slot, algorithm Algorithm, private crypto.PrivateKey, pin PINPolicy, touch TouchPolicy) error {
	parts, err := privateParts(private)
	if err != nil {
		return err
	}
	const room = 32 // bytes, for tags, lengths and policies
	total := room
	for _, p := range parts {
		total += len(p.Value) + 4
	}
	data := make([]byte, 0, total)
	for _, p := range parts {
		data = iso7816.AppendTLV(data, p.Tag, p.Value)
		secret.Wipe(p.Value)
	}
	data = appendPolicies(data, pin, touch)
	defer secret.Wipe(data)
	_, err = c.ask(ctx, iso7816.Command{INS: insImport, P1: byte(algorithm), P2: byte(slot), Data: data})
	return err
}

// appendPolicies adds Yubico's AA and AB.
func appendPolicies(b []byte, pin PINPolicy, touch TouchPolicy) []byte {
	const tagPIN, tagTouch = 0xAA, 0xAB
	if pin != 0 {
		b = iso7816.AppendTLV(b, tagPIN, []byte{byte(pin)})
	}
	if touch != 0 {
		b = iso7816.AppendTLV(b, tagTouch, []byte{byte(touch)})
	}
	return b
}

// Importable is an errors.ErrUnsupported for a key that no card takes: an RSA key has two
// primes of half the length of its modulus, and Yubico's cards have one public exponent.
func Importable(private crypto.PrivateKey) error {
	key, ok := private.(*rsa.PrivateKey)
	if !ok {
		return nil
	}
	const exponent = 65537
	half := (key.N.BitLen() + 15) / 16
	switch {
	case len(key.Primes) != 2:
		return fmt.Errorf("%w: an RSA key of %d primes", errors.ErrUnsupported, len(key.Primes))
	case max(key.Primes[0].BitLen(), key.Primes[1].BitLen()) > 8*half:
		return fmt.Errorf("%w: RSA primes of unequal length", errors.ErrUnsupported)
	case key.E != exponent:
		return fmt.Errorf("%w: an RSA key with the public exponent %d", errors.ErrUnsupported, key.E)
	}
	return nil
}

// privateParts are the parts of a key: p, q, dP, dQ and qInv, each of half the length of
// the modulus; a scalar; or the seed and the scalar of RFC 8032 and RFC 7748.
func privateParts(private crypto.PrivateKey) ([]iso7816.TLV, error) {
	const tagPrimes, tagScalar, tagEd25519, tagX25519 = 0x01, 0x06, 0x07, 0x08
	switch key := private.(type) {
	case *rsa.PrivateKey:
		if err := Importable(key); err != nil {
			return nil, err
		}
		key.Precompute()
		half := (key.N.BitLen() + 15) / 16
		var parts []iso7816.TLV
		for i, n := range []*big.Int{key.Primes[0], key.Primes[1], key.Precomputed.Dp, key.Precomputed.Dq, key.Precomputed.Qinv} {
			parts = append(parts, iso7816.TLV{Tag: iso7816.Tag(tagPrimes + i), Value: n.FillBytes(make([]byte, half))})
		}
		return parts, nil
	case *ecdsa.PrivateKey:
		scalar, err := key.Bytes()
		return []iso7816.TLV{{Tag: tagScalar, Value: scalar}}, err
	case ed25519.PrivateKey:
		return []iso7816.TLV{{Tag: tagEd25519, Value: append([]byte{}, key.Seed()...)}}, nil
	case *ecdh.PrivateKey:
		if key.Curve() == ecdh.X25519() {
			return []iso7816.TLV{{Tag: tagX25519, Value: key.Bytes()}}, nil
		}
		return []iso7816.TLV{{Tag: tagScalar, Value: key.Bytes()}}, nil
	}
	return nil, fmt.Errorf("%w: a %T", errors.ErrUnsupported, private)
}

// MoveKey is Yubico's MOVE KEY, after Manage: to a slot that is empty.
func (c *Card) MoveKey(ctx context.Context, from, to Slot) error {
	_, err := c.ask(ctx, iso7816.Command{INS: insMove, P1: byte(to), P2: byte(from)})
	return err
}

// DeleteKey is the same to no slot: the key is gone.
func (c *Card) DeleteKey(ctx context.Context, slot Slot) error {
	const nowhere = 0xFF
	_, err := c.ask(ctx, iso7816.Command{INS: insMove, P1: nowhere, P2: byte(slot)})
	return err
}
