package cardsim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// generateKeyPair is GENERATE ASYMMETRIC KEY PAIR, section 7.2.14: P1 80 makes
// a key pair, P1 81 reads the public key that is there.
func (a *openpgp) generateKeyPair(c iso7816.Command) ([]byte, iso7816.Status) {
	const generate, read = 0x80, 0x81
	if c.P1 != generate && c.P1 != read || c.P2 != 0 {
		return nil, iso7816.StatusWrongOffset
	}
	objects, err := iso7816.ParseTLVs(c.Data)
	if err != nil || len(objects) != 1 {
		return nil, iso7816.StatusWrongData
	}
	s, ok := slotOf(objects[0])
	if !ok {
		return nil, iso7816.StatusWrongData
	}
	if c.P1 == read {
		if a.state.Keys[s].private == nil {
			return nil, a.profile.emptySlot
		}
		return publicKey(a.state.Keys[s].private), iso7816.StatusOK
	}
	if !a.has(pw3) {
		return nil, iso7816.StatusSecurityNotSatisfied
	}
	at, err := parseAttributes(a.state.Keys[s].Attributes)
	if err != nil || at.algorithm != algorithmRSA && !a.profile.ecGeneration {
		return nil, iso7816.StatusFunctionNotSupported
	}
	private, err := at.generate()
	if err != nil {
		return nil, iso7816.StatusMemoryFailure
	}
	if status := a.storeKey(s, private, keyGenerated); status != iso7816.StatusOK {
		return nil, status
	}
	return publicKey(private), iso7816.StatusOK
}

// generate makes a private key with these attributes.
func (at attributes) generate() (crypto.PrivateKey, error) {
	switch {
	case at.algorithm == algorithmRSA:
		return rsa.GenerateKey(rand.Reader, at.bits)
	case at.algorithm == algorithmEdDSA:
		_, private, err := ed25519.GenerateKey(rand.Reader)
		return private, err
	case at.curve.nist != nil:
		return ecdsa.GenerateKey(at.curve.nist, rand.Reader)
	default:
		return at.curve.ecdh.GenerateKey(rand.Reader)
	}
}
