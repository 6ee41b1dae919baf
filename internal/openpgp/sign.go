package openpgp

import (
	"context"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Sign makes a signature with the key of a slot, after its password was
// verified: PSO: COMPUTE DIGITAL SIGNATURE (7.2.10) with the signature key,
// INTERNAL AUTHENTICATE (7.2.13) with the others. The input is a DigestInfo
// for RSA, the digest for ECDSA (the answer is r and s, one behind the other)
// and the message for Ed25519.
//
// INTERNAL AUTHENTICATE uses the decryption key only after
// UseForAuthentication.
func (c *Card) Sign(ctx context.Context, slot Slot, input []byte) ([]byte, error) {
	cmd := iso7816.Command{INS: iso7816.InsInternalAuthenticate, Data: input, Ne: iso7816.MaxExtendedNe}
	if slot == Signature {
		cmd.INS, cmd.P1, cmd.P2 = iso7816.InsPerformSecurityOp, 0x9E, 0x9A
		defer c.spendPW1()
	}
	return c.ch.Send(ctx, cmd)
}

// spendPW1 forgets the verification that a card asks for again with every
// signature.
func (c *Card) spendPW1() {
	if c.data == nil || !c.data.Passwords.Several {
		c.verified[PW1Sign] = false
	}
}

// UseForAuthentication makes INTERNAL AUTHENTICATE use the key of a slot:
// MANAGE SECURITY ENVIRONMENT (7.2.18). It holds until the application is
// selected again, and is sent once.
func (c *Card) UseForAuthentication(ctx context.Context, slot Slot) error {
	if c.lent == slot {
		return nil
	}
	_, err := c.ch.Send(ctx, iso7816.Command{
		INS: iso7816.InsManageSecurity, P1: 0x41, P2: Authentication.controlReference(),
		Data: []byte{0x83, 0x01, byte(slot)},
	})
	if err == nil {
		c.lent = slot
	}
	return err
}

// PasswordFor is the password that the private key of a slot asks for.
func PasswordFor(slot Slot) PasswordRef { return slot.password() }
