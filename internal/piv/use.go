package piv

import (
	"context"
	"fmt"
	"io"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Tags of the dynamic authentication template (3.2.4, table 7).
const (
	tagTemplate  = 0x7C
	tagChallenge = 0x81
	tagResponse  = 0x82
)

// Use is GENERAL AUTHENTICATE (3.2.4) with the key in a slot: it signs challenge, or
// applies RSA to it, and the answer is the signature.
func (c *Card) Use(ctx context.Context, slot Slot, algorithm Algorithm, challenge []byte) ([]byte, error) {
	request := iso7816.AppendTLV(nil, tagResponse)
	request = iso7816.AppendTLV(request, tagChallenge, challenge)
	answer, err := c.ch.Send(ctx, iso7816.Command{
		INS: insGeneralAuthenticate, P1: byte(algorithm), P2: byte(slot),
		Data: iso7816.AppendTLV(nil, tagTemplate, request), Ne: iso7816.MaxExtendedNe,
	})
	if err != nil {
		return nil, err
	}
	response, ok := iso7816.FindTLV(answer, tagTemplate, tagResponse)
	if !ok {
		return nil, fmt.Errorf("%w: GENERAL AUTHENTICATE", ErrMalformed)
	}
	return response, nil
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
