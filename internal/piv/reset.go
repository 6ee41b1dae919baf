package piv

import (
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Yubico's instructions that take a card back to the factory, or change what it is
// managed by.
const (
	insSetRetries       = 0xFA
	insReset            = 0xFB
	insSetManagementKey = 0xFF
)

// FactoryPIN and FactoryPUK are those of a card after Reset or SetRetries, FactoryTries
// how often each can be wrong after Reset.
const (
	FactoryPIN   = "123456"
	FactoryPUK   = "12345678"
	FactoryTries = 3
)

// Reset is Yubico's RESET: all keys and objects but those of attestation go, and PIN,
// PUK and management key are the factory's. The card refuses it by 6985 until PIN and
// PUK are blocked; it is errors.ErrUnsupported on a card without it.
func (c *Card) Reset(ctx context.Context) error {
	_, err := c.ask(ctx, iso7816.Command{INS: insReset})
	return err
}

// SetRetries is Yubico's SET PIN RETRIES: how often PIN and PUK can be wrong, 1 to 255.
// It needs Manage and a verified PIN, and sets both to the factory's.
func (c *Card) SetRetries(ctx context.Context, pin, puk byte) error {
	_, err := c.ask(ctx, iso7816.Command{INS: insSetRetries, P1: pin, P2: puk})
	return err
}

// Bio reports whether it is a YubiKey Bio, whose numbers of tries are fixed, and whether it
// has fingerprints: then it does not reset this application. Other cards are none.
func (c *Card) Bio(ctx context.Context) (is, fingerprints bool, err error) {
	const reference, tagConfigured = 0x96, 0x07
	answer, err := c.ask(ctx, iso7816.Command{INS: insMetadata, P2: reference, Ne: iso7816.MaxExtendedNe})
	if err != nil {
		if Unanswered(err) {
			err = nil
		}
		return false, false, err
	}
	value, ok := iso7816.FindTLV(answer, tagConfigured)
	return ok, ok && len(value) == 1 && value[0] != 0, nil
}
