package openpgp

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"math/big"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// ErrNoKey is a slot without a key.
var ErrNoKey = errors.New("there is no key in this slot")

// PublicKey reads the public key of a slot: GENERATE ASYMMETRIC KEY PAIR with
// P1 81 (7.2.14). An empty slot is ErrNoKey, whatever the card says of it.
func (c *Card) PublicKey(ctx context.Context, slot Slot) (crypto.PublicKey, error) {
	data, err := c.ApplicationRelatedData(ctx)
	if err != nil {
		return nil, err
	}
	answer, err := c.sendForTemplate(ctx, keyPairCommand(slot, readPublic))
	if status := iso7816.StatusOf(err); status != 0 {
		return nil, fmt.Errorf("%w [%s]", ErrNoKey, status)
	}
	if err != nil {
		return nil, err
	}
	return ParsePublicKey(answer, data.Key(slot).Attributes)
}

// Generate makes a new key in a slot: GENERATE ASYMMETRIC KEY PAIR with P1 80
// (7.2.14), after PW3 was verified. Whatever is in the slot is lost.
func (c *Card) Generate(ctx context.Context, slot Slot) (crypto.PublicKey, error) {
	data, err := c.ApplicationRelatedData(ctx)
	if err != nil {
		return nil, err
	}
	defer c.Forget()
	answer, err := c.ch.Send(ctx, keyPairCommand(slot, generate))
	if err != nil {
		return nil, err
	}
	if _, cut := iso7816.ParseTLVs(answer); cut != nil {
		c.ch.Doubt()
		return c.PublicKey(ctx, slot)
	}
	return ParsePublicKey(answer, data.Key(slot).Attributes)
}

// P1 of GENERATE ASYMMETRIC KEY PAIR.
const generate, readPublic = 0x80, 0x81

func keyPairCommand(slot Slot, p1 byte) iso7816.Command {
	return iso7816.Command{
		INS: iso7816.InsGenerateKeyPair, P1: p1,
		Data: []byte{slot.controlReference(), 0x00}, Ne: iso7816.MaxExtendedNe,
	}
}

// ParsePublicKey reads a public key template 7F49 (7.2.14) of a key with these
// attributes: an *rsa.PublicKey, an *ecdsa.PublicKey for the NIST curves
// whatever their use, an ed25519.PublicKey, an *ecdh.PublicKey of X25519, or a
// *pubkey.Other.
func ParsePublicKey(raw []byte, attributes Attributes) (crypto.PublicKey, error) {
	list, err := iso7816.ParseTLVs(template(raw, 0x7F49))
	if err != nil {
		return nil, fmt.Errorf("%w: public key: %w", ErrMalformed, err)
	}
	objects := map[iso7816.Tag][]byte{}
	for _, object := range list {
		objects[object.Tag] = object.Value
	}
	if attributes.Algorithm() == AlgorithmRSA {
		return parseRSA(objects[0x81], objects[0x82])
	}
	curve, ok := attributes.Curve()
	if !ok {
		return onOtherCurve(attributes, objects[0x86])
	}
	return parsePoint(curve, objects[0x86])
}

// onOtherCurve is a key that another program put on the card: it can be shown and
// compared.
func onOtherCurve(attributes Attributes, point []byte) (crypto.PublicKey, error) {
	oid, ok := attributes.curveOID()
	if !ok {
		return nil, fmt.Errorf("%w: a key with attributes %X", errors.ErrUnsupported, []byte(attributes))
	}
	public, err := pubkey.OnCurve(oid, point)
	if err != nil {
		return nil, fmt.Errorf("%w: public key: %w", ErrMalformed, err)
	}
	return public, nil
}

// maxRSABits bounds the modulus that a card can make us compute with.
const maxRSABits = 8192

func parseRSA(n, e []byte) (*rsa.PublicKey, error) {
	pub := &rsa.PublicKey{N: new(big.Int).SetBytes(n)}
	exponent := new(big.Int).SetBytes(e)
	if bits := pub.N.BitLen(); bits < 1024 || bits > maxRSABits || pub.N.Bit(0) == 0 {
		return nil, fmt.Errorf("%w: an RSA modulus of %d bits", ErrMalformed, bits)
	}
	if exponent.BitLen() < 2 || exponent.BitLen() > 31 || exponent.Bit(0) == 0 {
		return nil, fmt.Errorf("%w: RSA exponent %X", ErrMalformed, e)
	}
	pub.E = int(exponent.Int64())
	return pub, nil
}

func parsePoint(curve Curve, point []byte) (crypto.PublicKey, error) {
	var pub crypto.PublicKey
	var err error
	switch curve.Name {
	case "ed25519", "x25519":
		if len(point) == 33 { // some cards prefix 40, as RFC 4880bis does
			point = bytes.TrimPrefix(point, []byte{0x40})
		}
		if len(point) != 32 {
			return nil, fmt.Errorf("%w: a public key of %d bytes", ErrMalformed, len(point))
		}
		if curve.Name == "ed25519" {
			return ed25519.PublicKey(bytes.Clone(point)), nil
		}
		pub, err = ecdh.X25519().NewPublicKey(point)
	default:
		named := map[string]elliptic.Curve{"p256": elliptic.P256(), "p384": elliptic.P384(), "p521": elliptic.P521()}
		pub, err = ecdsa.ParseUncompressedPublicKey(named[curve.Name], point)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: public key: %w", ErrMalformed, err)
	}
	return pub, nil
}
