package piv

import (
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Tries asks for the tries that a PIN has left by VERIFY without data (3.2.1), which
// uses up none. A card on which the PIN is verified does not tell: that is taken back
// first, where the card can. told is false where no answer has a number.
func (c *Card) Tries(ctx context.Context, ref PINReference) (left int, told bool, err error) {
	const reset = 0xFF
	for _, p1 := range []byte{0, reset, 0} {
		_, err = c.ch.Send(ctx, iso7816.Command{INS: iso7816.InsVerify, P1: p1, P2: byte(ref)})
		if p1 == 0 && err != nil {
			break
		}
		if err != nil {
			return 0, false, unlessAnswered(err)
		}
	}
	left, told = triesIn(iso7816.StatusOf(err))
	return left, told, unlessAnswered(err)
}

// triesIn reads 63Cx, 6983, and the 630x of old cards.
func triesIn(status iso7816.Status) (left int, told bool) {
	const old, mask = 0x6300, 0xFFF0
	if n, ok := status.TriesLeft(); ok {
		return n, true
	}
	if status == iso7816.StatusPINBlocked {
		return 0, true
	}
	return int(status & 0xF), status&mask == old && status != old
}

// unlessAnswered is nil for a status word.
func unlessAnswered(err error) error {
	if iso7816.StatusOf(err) != 0 {
		return nil
	}
	return err
}
