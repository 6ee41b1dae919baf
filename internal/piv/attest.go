package piv

import (
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"fmt"

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

// PublicKeyOf is the public key in a certificate. It reads no more of it: statements
// of some firmware have extensions that strict parsers refuse.
func PublicKeyOf(der []byte) (crypto.PublicKey, error) {
	var certificate struct {
		TBS struct {
			Version               int `asn1:"optional,explicit,default:0,tag:0"`
			Number                asn1.RawValue
			Algorithm             asn1.RawValue
			Issuer                asn1.RawValue
			Validity              asn1.RawValue
			Subject               asn1.RawValue
			PublicKey             asn1.RawValue
			IssuerID, SubjectID   asn1.RawValue `asn1:"optional"`
			Extensions, Following asn1.RawValue `asn1:"optional"`
		}
		Algorithm asn1.RawValue
		Signature asn1.RawValue
	}
	if _, err := asn1.Unmarshal(der, &certificate); err != nil {
		return nil, fmt.Errorf("%w: certificate: %v", ErrMalformed, err)
	}
	public, err := x509.ParsePKIXPublicKey(certificate.TBS.PublicKey.FullBytes)
	if err != nil {
		return nil, fmt.Errorf("%w: certificate: %v", ErrMalformed, err)
	}
	return public, nil
}
