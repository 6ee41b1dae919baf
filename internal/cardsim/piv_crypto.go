package cardsim

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"math/big"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// generalAuthenticate is GENERAL AUTHENTICATE, section 3.2.4. pinJust says that
// VERIFY was the command before.
func (a *piv) generalAuthenticate(c iso7816.Command, pinJust bool) ([]byte, iso7816.Status) {
	template, rest, err := iso7816.ParseTLV(c.Data)
	if err != nil || template.Tag != pivTemplate || len(rest) != 0 {
		return nil, iso7816.StatusWrongData
	}
	given, ok := parts(template.Value)
	switch {
	case !ok:
		return nil, iso7816.StatusWrongData
	case c.P2 == pivManagement:
		return a.manage(c, given)
	case !a.isSlot(c.P2):
		return nil, iso7816.StatusWrongP1P2
	}
	k, there := a.state.Keys[pivSlotOf(c.P2)]
	if !there {
		k.PINPolicy = defaultPINPolicy(c.P2)
	}
	// A card of the standard's minimum does not tell whether there is a key before
	// the PIN was verified.
	if !a.profile.piv.yubico() && !a.opened(k, pinJust) {
		return nil, iso7816.StatusSecurityNotSatisfied
	}
	if algorithm, _ := pivAlgorithmOf(k.private); !there || byte(algorithm) != c.P1 {
		return nil, iso7816.StatusWrongP1P2
	}
	if !a.opened(k, pinJust) {
		return nil, iso7816.StatusSecurityNotSatisfied
	}
	if k.Touch != pivTouchNever && a.profile.nobodyAtCard {
		return nil, iso7816.StatusSecurityNotSatisfied
	}
	answer, status := usePIVKey(k.private, given, a.profile.piv.yubico())
	if status != iso7816.StatusOK {
		return nil, status
	}
	return iso7816.AppendTLV(nil, pivTemplate, iso7816.AppendTLV(nil, pivResponse, answer)), status
}

// opened reports whether the PIN was verified as the key wants it.
func (a *piv) opened(k pivKey, pinJust bool) bool {
	switch k.PINPolicy {
	case pivPINNever:
		return true
	case pivPINAlways:
		return a.pinVerified && pinJust
	}
	return a.pinVerified
}

// usePIVKey is what a key makes of a challenge, or of another's point. The standard's
// card wants a digest of the length of the curve. YubiKeys also take a shorter one, which
// Yubico's programs send to P-384.
func usePIVKey(private crypto.PrivateKey, given map[iso7816.Tag][]byte, shortDigests bool) ([]byte, iso7816.Status) {
	response, asked := given[pivResponse]
	if !asked || len(response) != 0 {
		return nil, iso7816.StatusWrongData
	}
	challenge, signs := given[pivChallenge]
	peer, agrees := given[pivExponent]
	if signs == agrees {
		return nil, iso7816.StatusWrongData
	}
	if agrees {
		return agreePIV(private, peer)
	}
	switch key := private.(type) {
	case *rsa.PrivateKey:
		// RSADP or RSASP1, the padding being the host's.
		n := new(big.Int).SetBytes(challenge)
		if len(challenge) != key.Size() || n.Cmp(key.N) >= 0 {
			return nil, iso7816.StatusWrongData
		}
		return fixed(new(big.Int).Exp(n, key.D, key.N), key.Size()), iso7816.StatusOK
	case *ecdsa.PrivateKey:
		if size := key.Curve.Params().BitSize / 8; len(challenge) > size || len(challenge) < size && !shortDigests {
			return nil, iso7816.StatusWrongData
		}
		signature, err := ecdsa.SignASN1(rand.Reader, key, challenge)
		if err != nil {
			return nil, iso7816.StatusUnknown
		}
		return signature, iso7816.StatusOK
	case ed25519.PrivateKey:
		return ed25519.Sign(key, challenge), iso7816.StatusOK
	}
	return nil, iso7816.StatusWrongData
}

// agreePIV is ECDH: the x-coordinate.
func agreePIV(private crypto.PrivateKey, peer []byte) ([]byte, iso7816.Status) {
	var own *ecdh.PrivateKey
	switch key := private.(type) {
	case *ecdsa.PrivateKey:
		own, _ = key.ECDH()
	case *ecdh.PrivateKey:
		own = key
	}
	if own == nil {
		return nil, iso7816.StatusWrongData
	}
	theirs, err := own.Curve().NewPublicKey(peer)
	if err != nil {
		return nil, iso7816.StatusWrongData
	}
	shared, err := own.ECDH(theirs)
	if err != nil {
		return nil, iso7816.StatusWrongData
	}
	return shared, iso7816.StatusOK
}

// pivExponentRSA is the one public exponent that YubiKeys take.
const pivExponentRSA = 65537

// assemblePrimes makes an RSA key of p, q, dp, dq and qinv, each of half the
// modulus' length; nil where they do not belong together.
func assemblePrimes(bits int, given map[iso7816.Tag][]byte) *rsa.PrivateKey {
	var numbers [5]*big.Int
	for i := range numbers {
		value := given[iso7816.Tag(i+1)]
		if len(value) != bits/16 {
			return nil
		}
		numbers[i] = new(big.Int).SetBytes(value)
	}
	p, q, one := numbers[0], numbers[1], big.NewInt(1)
	if p.Cmp(one) <= 0 || q.Cmp(one) <= 0 {
		return nil
	}
	below := new(big.Int).Sub(p, one)
	e := new(big.Int).ModInverse(numbers[2], below)
	if e == nil || e.Cmp(big.NewInt(pivExponentRSA)) != 0 {
		return nil
	}
	d := new(big.Int).ModInverse(e, new(big.Int).Mul(below, new(big.Int).Sub(q, one)))
	if d == nil {
		return nil
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(e.Int64())}, D: d, Primes: []*big.Int{p, q}}
	if key.N.BitLen() != bits || key.Validate() != nil {
		return nil
	}
	key.Precompute()
	if key.Precomputed.Dp.Cmp(numbers[2]) != 0 || key.Precomputed.Dq.Cmp(numbers[3]) != 0 || key.Precomputed.Qinv.Cmp(numbers[4]) != 0 {
		return nil
	}
	return key
}
