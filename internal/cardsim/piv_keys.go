package cardsim

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"math/big"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Policies of Yubico.
const (
	pivPINNever    = 1
	pivPINOnce     = 2
	pivPINAlways   = 3
	pivTouchNever  = 1
	pivTouchAlways = 2
	pivTouchCached = 3
)

// defaultPINPolicy is that of part 1, table 4b: the signature key wants the PIN
// for each use, the card authentication key never.
func defaultPINPolicy(slot byte) byte {
	switch slot {
	case pivSignature:
		return pivPINAlways
	case pivCardAuth:
		return pivPINNever
	}
	return pivPINOnce
}

// policies reads Yubico's AA and AB; false where the card does not have them.
func (a *piv) policies(slot byte, given map[iso7816.Tag][]byte) (k pivKey, ok bool) {
	const tagPIN, tagTouch = 0xAA, 0xAB
	k = pivKey{PINPolicy: defaultPINPolicy(slot), Touch: pivTouchNever}
	for tag, policy := range map[iso7816.Tag]*byte{tagPIN: &k.PINPolicy, tagTouch: &k.Touch} {
		value, named := given[tag]
		if !named {
			continue
		}
		if !a.profile.piv.yubico() || len(value) != 1 || value[0] > pivPINAlways {
			return k, false
		}
		if value[0] != 0 {
			*policy = value[0]
		}
	}
	return k, true
}

// generate is GENERATE ASYMMETRIC KEY PAIR, section 3.3.2. Retired keys come by
// import alone where the standard's card has a way for that, which it does not say.
func (a *piv) generate(c iso7816.Command) ([]byte, iso7816.Status) {
	const tagReference, tagAlgorithm = 0xAC, 0x80
	switch {
	case !a.managed:
		return nil, iso7816.StatusSecurityNotSatisfied
	case c.P1 != 0 || !a.isSlot(c.P2) || !a.profile.piv.yubico() && c.P2 <= pivLastRetired:
		return nil, iso7816.StatusWrongP1P2
	}
	template, rest, err := iso7816.ParseTLV(c.Data)
	if err != nil || template.Tag != tagReference || len(rest) != 0 {
		return nil, iso7816.StatusWrongData
	}
	given, ok := parts(template.Value)
	if !ok || len(given[tagAlgorithm]) != 1 {
		return nil, iso7816.StatusWrongData
	}
	algorithm := pivAlgorithm(given[tagAlgorithm][0])
	k, ok := a.policies(c.P2, given)
	if !ok || !a.profile.piv.has(algorithm) {
		return nil, iso7816.StatusWrongData
	}
	private, err := newPIVKey(algorithm)
	if err != nil {
		return nil, iso7816.StatusMemoryFailure
	}
	if status := a.put(c.P2, private, k); status != iso7816.StatusOK {
		return nil, status
	}
	const tagPublicKey = 0x7F49
	return iso7816.AppendTLV(nil, tagPublicKey, pivPublic(private)), iso7816.StatusOK
}

// importKey is Yubico's IMPORT ASYMMETRIC KEY.
func (a *piv) importKey(c iso7816.Command) iso7816.Status {
	algorithm := pivAlgorithm(c.P1)
	switch {
	case !a.managed:
		return iso7816.StatusSecurityNotSatisfied
	case !a.isSlot(c.P2) || !a.profile.piv.has(algorithm):
		return iso7816.StatusWrongP1P2
	}
	given, ok := parts(c.Data)
	if !ok {
		return iso7816.StatusWrongData
	}
	k, ok := a.policies(c.P2, given)
	private := assemblePIV(algorithm, given)
	if !ok || private == nil {
		return iso7816.StatusWrongData
	}
	k.Imported = true
	return a.put(c.P2, private, k)
}

// assemblePIV makes a key of its parts; nil where they do not make one.
func assemblePIV(g pivAlgorithm, given map[iso7816.Tag][]byte) crypto.PrivateKey {
	const tagScalar, tagEd25519, tagX25519 = 0x06, 0x07, 0x08
	switch {
	case g.bits() != 0:
		key := assemblePrimes(g.bits(), given)
		if key == nil {
			return nil // and not a nil key in an interface
		}
		return key
	case g.curve() != nil:
		if len(given[tagScalar]) != (g.curve().Params().BitSize+7)/8 {
			return nil
		}
		if key, err := ecdsa.ParseRawPrivateKey(g.curve(), given[tagScalar]); err == nil {
			return key
		}
	case g == pivEd25519:
		if seed := given[tagEd25519]; len(seed) == ed25519.SeedSize {
			return ed25519.NewKeyFromSeed(seed)
		}
	case g == pivX25519:
		if key, err := ecdh.X25519().NewPrivateKey(given[tagX25519]); err == nil {
			return key
		}
	}
	return nil
}

// metadata is Yubico's GET METADATA.
func (a *piv) metadata(c iso7816.Command) ([]byte, iso7816.Status) {
	const tagAlgorithm, tagPolicy, tagDefault, tagTries, tagConfigured = 0x01, 0x02, 0x05, 0x06, 0x07
	const biometrics = 0x96
	f := a.profile.piv
	if c.P1 != 0 || len(c.Data) != 0 {
		return nil, iso7816.StatusWrongP1P2
	}
	reference := func(p *pivPIN, factory string) []byte {
		b := iso7816.AppendTLV(nil, tagAlgorithm, []byte{0xFF})
		b = iso7816.AppendTLV(b, tagDefault, flagByte(p.equals(pivPadded(factory))))
		return iso7816.AppendTLV(b, tagTries, []byte{byte(p.Total), byte(p.Tries)})
	}
	switch c.P2 {
	case pivApplicationPIN:
		return reference(&a.state.PIN, pivFactoryPIN), iso7816.StatusOK
	case pivPUK:
		return reference(&a.state.PUK, pivFactoryPUK), iso7816.StatusOK
	case pivManagement:
		k := &a.state.Management
		b := iso7816.AppendTLV(nil, tagAlgorithm, []byte{k.Algorithm})
		if f.metadataTypeOnly {
			return b, iso7816.StatusOK
		}
		b = iso7816.AppendTLV(b, tagPolicy, []byte{0, k.Touch})
		return iso7816.AppendTLV(b, tagDefault, flagByte(bytes.Equal(k.Key, a.factoryManagementKey().Key))), iso7816.StatusOK
	case biometrics:
		if f.bio {
			return iso7816.AppendTLV(nil, tagConfigured, flagByte(f.fingerprints)), iso7816.StatusOK
		}
	}
	return a.keyMetadata(c.P2)
}

func (a *piv) keyMetadata(slot byte) ([]byte, iso7816.Status) {
	const tagAlgorithm, tagPolicy, tagOrigin, tagPublic = 0x01, 0x02, 0x03, 0x04
	const generated, imported = 1, 2
	k, there := a.state.Keys[pivSlotOf(slot)]
	if !there {
		return nil, a.profile.piv.emptyMetadata
	}
	origin := byte(generated)
	if k.Imported || a.profile.piv.saysImported {
		origin = imported
	}
	algorithm, _ := pivAlgorithmOf(k.private)
	b := iso7816.AppendTLV(nil, tagAlgorithm, []byte{byte(algorithm)})
	b = iso7816.AppendTLV(b, tagPolicy, []byte{k.PINPolicy, k.Touch})
	b = iso7816.AppendTLV(b, tagOrigin, []byte{origin})
	return iso7816.AppendTLV(b, tagPublic, pivPublic(k.private)), iso7816.StatusOK
}

func flagByte(set bool) []byte {
	if set {
		return []byte{1}
	}
	return []byte{0}
}

// moveKey is Yubico's MOVE KEY: from P2 to P1, which is empty; P1 FF deletes it.
func (a *piv) moveKey(c iso7816.Command) iso7816.Status {
	const nowhere = 0xFF
	from := pivSlotOf(c.P2)
	k, there := a.state.Keys[from]
	_, taken := a.state.Keys[pivSlotOf(c.P1)]
	switch {
	case !a.managed:
		return iso7816.StatusSecurityNotSatisfied
	case !a.isSlot(c.P2) || c.P1 != nowhere && (!a.isSlot(c.P1) || c.P1 == pivAttestation || c.P2 == pivAttestation):
		return iso7816.StatusWrongP1P2
	case !there:
		return iso7816.StatusReferenceNotFound
	case taken && c.P1 != nowhere:
		return iso7816.StatusConditionsNotSatisfied
	}
	delete(a.state.Keys, from)
	if c.P1 != nowhere {
		a.state.Keys[pivSlotOf(c.P1)] = k
	}
	return a.save()
}

// fixed is a number as that many bytes.
func fixed(n *big.Int, size int) []byte { return n.FillBytes(make([]byte, size)) }
