package piv

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

// Tries asks for the tries that a PIN has left by VERIFY without data (3.2.1), which
// uses up none. A card on which the PIN is verified does not tell: that is taken back
// first, where the card can, or it is ErrVerified. told is false where no answer has a
// number.
func (c *Card) Tries(ctx context.Context, ref PINReference) (left int, told bool, err error) {
	const reset = 0xFF
	for _, p1 := range []byte{0, reset, 0} {
		_, err = c.ch.Send(ctx, iso7816.Command{INS: iso7816.InsVerify, P1: p1, P2: byte(ref)})
		if p1 == 0 && err != nil {
			break
		}
		if err != nil && iso7816.StatusOf(err) != 0 {
			return 0, false, fmt.Errorf("%w: %w", ErrVerified, err)
		}
		if err != nil {
			return 0, false, err
		}
	}
	left, told = triesIn(iso7816.StatusOf(err))
	return left, told, unlessAnswered(err)
}

// ErrVerified is a PIN that is verified, on a card that forgets it by a reset alone, and
// does not tell its tries before.
var ErrVerified = errors.New("the PIN is verified, so the card does not tell its tries")

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

// PINError is a PIN or PUK that the card did not accept.
type PINError struct {
	TriesLeft int
	Cause     error
}

func (e *PINError) Error() string {
	return fmt.Sprintf("wrong PIN, %d tries left: %v", e.TriesLeft, e.Cause)
}

func (e *PINError) Unwrap() error { return e.Cause }

// Verify is VERIFY (3.2.1). A refusal is a *PINError.
func (c *Card) Verify(ctx context.Context, ref PINReference, pin *secret.Bytes) error {
	return c.sendPIN(ctx, iso7816.InsVerify, ref, pin)
}

// ChangeReferenceData is CHANGE REFERENCE DATA (3.2.2) of a PIN or the PUK. A wrong old
// value is a *PINError.
func (c *Card) ChangeReferenceData(ctx context.Context, ref PINReference, old, replacement *secret.Bytes) error {
	return c.sendPIN(ctx, iso7816.InsChangeReferenceData, ref, old, replacement)
}

// ResetRetryCounter is RESET RETRY COUNTER (3.2.3): a new PIN by the PUK. A wrong PUK is
// a *PINError.
func (c *Card) ResetRetryCounter(ctx context.Context, ref PINReference, puk, replacement *secret.Bytes) error {
	return c.sendPIN(ctx, iso7816.InsResetRetryCounter, ref, puk, replacement)
}

// LongestPIN is how long a PIN or PUK can be in bytes; shorter ones are padded.
const LongestPIN = 8

// sendPIN sends values, each padded with FF to LongestPIN (part 1, 4.3).
func (c *Card) sendPIN(ctx context.Context, ins byte, ref PINReference, values ...*secret.Bytes) error {
	data := bytes.Repeat([]byte{0xFF}, LongestPIN*len(values))
	defer secret.Wipe(data)
	for i, value := range values {
		if value.Len() > LongestPIN {
			return fmt.Errorf("a PIN of %d bytes", value.Len())
		}
		copy(data[i*LongestPIN:], value.Reveal())
	}
	_, err := c.ch.Send(ctx, iso7816.Command{INS: ins, P2: byte(ref), Data: data})
	if left, told := triesIn(iso7816.StatusOf(err)); told {
		return &PINError{TriesLeft: left, Cause: err}
	}
	return err
}
