package openpgp

import (
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Decipher decrypts with the decryption key, after PW1 was verified: PSO:
// DECIPHER (7.2.11) of an RSA cryptogram as long as the modulus. The card takes
// the padding of PKCS#1 v1.5 off.
func (c *Card) Decipher(ctx context.Context, cryptogram []byte) ([]byte, error) {
	const padding = 0x00 // of RSA
	return c.decipher(ctx, append([]byte{padding}, cryptogram...))
}

// Agree is PSO: DECIPHER (7.2.11) with a key on a curve: ECDH with the public
// point of the other side. The answer is the x-coordinate, of some cards the
// whole point.
func (c *Card) Agree(ctx context.Context, point []byte) ([]byte, error) {
	public := iso7816.AppendTLV(nil, 0x7F49, iso7816.AppendTLV(nil, 0x86, point))
	return c.decipher(ctx, iso7816.AppendTLV(nil, 0xA6, public))
}

func (c *Card) decipher(ctx context.Context, data []byte) ([]byte, error) {
	return c.ch.Send(ctx, iso7816.Command{
		INS: iso7816.InsPerformSecurityOp, P1: 0x80, P2: 0x86, Data: data, Ne: iso7816.MaxExtendedNe,
	})
}
