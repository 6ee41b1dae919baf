package piv

import (
	"context"
	"crypto"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/secret"
)

// Generate is GENERATE ASYMMETRIC KEY PAIR (3.3.2), over whatever is in the slot, after
// Manage. Policies are Yubico's, and sent where they are not 0.
func (c *Card) Generate(ctx context.Context, slot Slot, algorithm Algorithm, pin PINPolicy, touch TouchPolicy) (crypto.PublicKey, error) {
	const tagReference, tagAlgorithm, tagPublicKey = 0xAC, 0x80, 0x7F49
	template := iso7816.AppendTLV(nil, tagAlgorithm, []byte{byte(algorithm)})
	template = appendPolicies(template, pin, touch)
	answer, err := c.ch.Send(ctx, iso7816.Command{
		INS: iso7816.InsGenerateKeyPair, P2: byte(slot), Data: iso7816.AppendTLV(nil, tagReference, template), Ne: iso7816.MaxExtendedNe,
	})
	if err != nil {
		return nil, err
	}
	content, ok := iso7816.FindTLV(answer, tagPublicKey)
	if !ok {
		return nil, fmt.Errorf("%w: a new key without its public key", ErrMalformed)
	}
	return parsePublicKey(algorithm, content)
}

// AlgorithmNamed is the algorithm that cardctl calls so; false where PIV has none.
func AlgorithmNamed(name string) (Algorithm, bool) {
	for _, a := range []Algorithm{RSA2048, RSA3072, RSA4096, P256, P384, Ed25519, X25519, RSA1024} {
		if known, _ := a.Name(); known == name {
			return a, true
		}
	}
	return 0, false
}

// PutData is PUT DATA (3.3.1) of an object in 53, after Manage. Without content the
// object is deleted.
func (c *Card) PutData(ctx context.Context, object Object, content []byte) error {
	const tagList, tagData = 0x5C, 0x53
	const longestHeader = 16
	data := iso7816.AppendTLV(make([]byte, 0, len(content)+longestHeader), tagList, iso7816.AppendTag(nil, iso7816.Tag(object)))
	data = iso7816.AppendTLV(data, tagData, content)
	defer secret.Wipe(data)
	_, err := c.ch.Send(ctx, iso7816.Command{INS: iso7816.InsPutDataOdd, P1: 0x3F, P2: 0xFF, Data: data})
	return err
}
