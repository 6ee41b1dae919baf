package openpgp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

// ErrExponent is an RSA key whose public exponent the card cannot take.
var ErrExponent = errors.New("the public exponent does not fit the card")

// Import puts a private key into a slot by PUT DATA of an extended header list
// (4.4.3.12), after PW3 was verified and the slot's attributes were made those
// of the key. Whatever is in the slot is lost.
func (c *Card) Import(ctx context.Context, slot Slot, private crypto.PrivateKey) error {
	data, err := c.ApplicationRelatedData(ctx)
	if err != nil {
		return err
	}
	list, err := headerList(slot, data.Key(slot).Attributes, private)
	if err != nil {
		return err
	}
	defer secret.Wipe(list)
	defer c.Forget()
	_, err = c.ch.Send(ctx, iso7816.Command{INS: iso7816.InsPutDataOdd, P1: 0x3F, P2: 0xFF, Data: list})
	return err
}

// element is one part of a cardholder private key.
type element struct {
	tag   iso7816.Tag
	value []byte
}

// headerList builds DO 4D: the control reference template, the template 7F48
// that tells the lengths, and the key data 5F48.
func headerList(slot Slot, attributes Attributes, private crypto.PrivateKey) ([]byte, error) {
	elements, err := privateElements(attributes, private)
	if err != nil {
		return nil, err
	}
	var lengths, values []byte
	total := 0
	for _, e := range elements {
		total += len(e.value)
	}
	values = make([]byte, 0, total)
	for _, e := range elements {
		lengths = iso7816.AppendLength(iso7816.AppendTag(lengths, e.tag), len(e.value))
		values = append(values, e.value...)
		secret.Wipe(e.value)
	}
	defer secret.Wipe(values)
	const headers = 32 // bytes, for what surrounds lengths and values
	body := make([]byte, 0, headers+len(lengths)+total)
	body = append(body, slot.controlReference(), 0x00)
	body = iso7816.AppendTLV(body, 0x7F48, lengths)
	body = iso7816.AppendTLV(body, 0x5F48, values)
	defer secret.Wipe(body)
	return iso7816.AppendTLV(make([]byte, 0, headers+len(body)), 0x4D, body), nil
}

func privateElements(attributes Attributes, private crypto.PrivateKey) ([]element, error) {
	switch private := private.(type) {
	case *rsa.PrivateKey:
		return rsaElements(attributes, private)
	case *ecdsa.PrivateKey:
		scalar, err := private.Bytes()
		if err != nil {
			return nil, err
		}
		point, err := private.PublicKey.Bytes()
		if err != nil {
			return nil, err
		}
		return curveElements(attributes, scalar, point), nil
	case ed25519.PrivateKey:
		return curveElements(attributes, bytes.Clone(private.Seed()), native(private[32:])), nil
	case *ecdh.PrivateKey:
		scalar, point := private.Bytes(), private.PublicKey().Bytes()
		if private.Curve() == ecdh.X25519() {
			slices.Reverse(scalar) // cards take it as the big-endian number of OpenPGP
			point = native(point)
		}
		return curveElements(attributes, scalar, point), nil
	}
	return nil, fmt.Errorf("%w: a %T", errors.ErrUnsupported, private)
}

// native is a public key of Curve25519 as OpenPGP writes it, with 40 in front
// (RFC 9580, 11.2.2). Cards that want the public key of an import want it so,
// since GnuPG sends it so.
func native(point []byte) []byte { return append([]byte{0x40}, point...) }

func curveElements(attributes Attributes, scalar, point []byte) []element {
	elements := []element{{0x92, scalar}}
	if attributes.ImportFormat() == 0xFF {
		elements = append(elements, element{0x99, point})
	}
	return elements
}

// Importable reports what no card of this kind can hold of a key, before a card is asked:
// RSA keys need two primes of half the length of the modulus (4.4.3.12).
func Importable(private crypto.PrivateKey) error {
	key, ok := private.(*rsa.PrivateKey)
	if !ok {
		return nil
	}
	if len(key.Primes) != 2 {
		return fmt.Errorf("%w: an RSA key of %d primes", errors.ErrUnsupported, len(key.Primes))
	}
	half := (key.N.BitLen() + 15) / 16
	if max(key.Primes[0].BitLen(), key.Primes[1].BitLen()) > 8*half {
		return fmt.Errorf("%w: RSA primes of unequal length", errors.ErrUnsupported)
	}
	return nil
}

// rsaElements orders the numbers as the card's import format wants them.
func rsaElements(attributes Attributes, private *rsa.PrivateKey) ([]element, error) {
	if len(private.Primes) != 2 {
		return nil, fmt.Errorf("%w: an RSA key of %d primes", errors.ErrUnsupported, len(private.Primes))
	}
	exponent := big.NewInt(int64(private.E))
	exponentLength := (attributes.ExponentBits() + 7) / 8
	if exponent.BitLen() > attributes.ExponentBits() {
		return nil, fmt.Errorf("%w: %d does not fit %d bits", ErrExponent, private.E, attributes.ExponentBits())
	}
	private.Precompute()
	half := (attributes.RSABits() + 15) / 16
	p, q := private.Primes[0], private.Primes[1]
	if max(p.BitLen(), q.BitLen()) > 8*half {
		return nil, fmt.Errorf("%w: RSA primes of unequal length", errors.ErrUnsupported)
	}
	number := func(n *big.Int, length int) []byte { return n.FillBytes(make([]byte, length)) }
	elements := []element{{0x91, number(exponent, exponentLength)}, {0x92, number(p, half)}, {0x93, number(q, half)}}
	const crt, withModulus = 2, 1
	format := attributes.ImportFormat()
	if format&crt != 0 {
		elements = append(elements,
			element{0x94, number(private.Precomputed.Qinv, half)},
			element{0x95, number(private.Precomputed.Dp, half)},
			element{0x96, number(private.Precomputed.Dq, half)})
	}
	if format&withModulus != 0 {
		elements = append(elements, element{0x97, number(private.N, 2*half)})
	}
	return elements, nil
}
