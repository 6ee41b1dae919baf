package piv

import (
	"context"
	"fmt"
	"io"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Tags of the dynamic authentication template (3.2.4, table 7).
const (
	tagTemplate  iso7816.Tag = 0x7C
	tagWitness   iso7816.Tag = 0x80
	tagChallenge iso7816.Tag = 0x81
	tagResponse  iso7816.Tag = 0x82
	tagExponent  iso7816.Tag = 0x85
)

// Use is GENERAL AUTHENTICATE (3.2.4) with the key in a slot. An elliptic curve key
// signs challenge, which is a digest, or for Ed25519 the message. An RSA key applies its
// private exponent to it; it is as long as the modulus, and its padding is the caller's.
func (c *Card) Use(ctx context.Context, slot Slot, algorithm Algorithm, challenge []byte) ([]byte, error) {
	return c.use(ctx, slot, algorithm, tagChallenge, challenge)
}

// Agree is the same for ECDH: the x-coordinate shared with point, a public key that is
// not compressed, or the 32 bytes of X25519.
func (c *Card) Agree(ctx context.Context, slot Slot, algorithm Algorithm, point []byte) ([]byte, error) {
	return c.use(ctx, slot, algorithm, tagExponent, point)
}

func (c *Card) use(ctx context.Context, slot Slot, algorithm Algorithm, tag iso7816.Tag, value []byte) ([]byte, error) {
	request := iso7816.AppendTLV(nil, tagResponse)
	answer, err := c.authenticate(ctx, algorithm, byte(slot), iso7816.AppendTLV(request, tag, value))
	if err != nil {
		return nil, err
	}
	return inTemplate(answer, tagResponse)
}

func (c *Card) authenticate(ctx context.Context, algorithm Algorithm, reference byte, request []byte) ([]byte, error) {
	return c.ch.Send(ctx, iso7816.Command{
		INS: iso7816.InsGeneralAuthenticate, P1: byte(algorithm), P2: reference,
		Data: iso7816.AppendTLV(nil, tagTemplate, request), Ne: iso7816.MaxExtendedNe,
	})
}

func inTemplate(answer []byte, tag iso7816.Tag) ([]byte, error) {
	value, ok := iso7816.FindTLV(answer, tagTemplate, tag)
	if !ok {
		return nil, fmt.Errorf("%w: GENERAL AUTHENTICATE", ErrMalformed)
	}
	return value, nil
}

// Draw is a challenge of the length that a key of an algorithm takes: a digest as long
// as the curve, or a number below the modulus.
func (a Algorithm) Draw(random io.Reader) ([]byte, error) {
	size := map[Algorithm]int{P256: 32, P384: 48, RSA1024: 128, RSA2048: 256}[a]
	challenge := make([]byte, size)
	_, err := io.ReadFull(random, challenge)
	if size > 48 {
		challenge[0] = 0
	}
	return challenge, err
}
