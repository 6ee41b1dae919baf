package piv

import (
	"context"
	"crypto"
	"fmt"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/iso7816"
)

// Attest is Yubico's ATTEST: a certificate, in DER, of a key that was made on the
// card. It is errors.ErrUnsupported on a card without it, and ErrEmpty where the slot
// has no key, or one that was not made on the card.
func (c *Card) Attest(ctx context.Context, slot Slot) ([]byte, error) {
	answer, err := c.ask(ctx, iso7816.Command{INS: insAttest, P1: byte(slot), Ne: iso7816.MaxExtendedNe})
	switch iso7816.StatusOf(err) {
	case iso7816.StatusReferenceNotFound, iso7816.StatusWrongP1P2, iso7816.StatusFileNotFound, iso7816.StatusWrongData:
		return nil, fmt.Errorf("%w: %w", ErrEmpty, err)
	}
	return answer, err
}

// PublicKeyOf is the public key in a certificate, or in a statement of Attest.
func PublicKeyOf(der []byte) (crypto.PublicKey, error) {
	certificate, err := cert.Parse(der)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate: %v", ErrMalformed, err)
	}
	return certificate.PublicKey, nil
}
