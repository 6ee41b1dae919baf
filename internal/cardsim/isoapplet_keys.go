package cardsim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// isoAppletModulus is the length of RSA keys in bits.
const isoAppletModulus = 2048

// generateKeyPair is GENERATE ASYMMETRIC KEY PAIR, ISO/IEC 7816-8, after
// MANAGE SECURITY ENVIRONMENT. The answer is the public key; nobody can read
// it later. A key that is there before is lost.
func (a *isoApplet) generateKeyPair(c iso7816.Command) ([]byte, iso7816.Status) {
	if !a.validated {
		return nil, iso7816.StatusSecurityNotSatisfied
	}
	if a.profile.isoApplet1 && c.Ne <= iso7816.MaxShortNe {
		return nil, iso7816.StatusUnknown // it has no GET RESPONSE for what is longer
	}
	p := uint16(c.P1)<<8 | uint16(c.P2)
	switch a.security.algorithm {
	case algorithmGenerateRSA, algorithmGenerateRSA4096:
		modulus := isoAppletModulus
		if a.security.algorithm == algorithmGenerateRSA4096 {
			modulus *= 2
		}
		if p != 0x4200 {
			return nil, iso7816.StatusWrongP1P2
		}
		key, err := rsa.GenerateKey(rand.Reader, modulus)
		if err != nil {
			return nil, iso7816.StatusMemoryFailure
		}
		return a.keep(key)
	case algorithmGenerateEC:
		if p != 0x0000 {
			return nil, iso7816.StatusWrongP1P2
		}
		if len(c.Data) > transportBuffer {
			return nil, iso7816.StatusWrongLength
		}
		parameters, ok := parts(c.Data)
		if !ok {
			return nil, statusInvalidData
		}
		d, status := curveWith(parameters)
		if status != iso7816.StatusOK {
			return nil, status
		}
		key, err := ecdsa.GenerateKey(d.curve, rand.Reader)
		if err != nil {
			return nil, iso7816.StatusMemoryFailure
		}
		return a.keep(key)
	}
	return nil, iso7816.StatusConditionsNotSatisfied
}

// keep stores a key that was made and answers its public half.
func (a *isoApplet) keep(private crypto.Signer) ([]byte, iso7816.Status) {
	if status := a.storeKey(private); status != iso7816.StatusOK {
		return nil, status
	}
	return isoPublicKey(private), iso7816.StatusOK
}

func (a *isoApplet) storeKey(private crypto.Signer) iso7816.Status {
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return iso7816.StatusMemoryFailure
	}
	a.state.Keys[a.security.key] = isoKey{PKCS8: encoded, private: private}
	return a.save()
}

// isoPublicKey is DO 7F49: modulus and exponent, or domain parameters and
// point.
func isoPublicKey(private crypto.Signer) []byte {
	const tagPublicKey, tagModulus, tagExponent = 0x7F49, 0x81, 0x82
	var value []byte
	switch key := private.(type) {
	case *rsa.PrivateKey:
		value = iso7816.AppendTLV(value, tagModulus, key.N.Bytes())
		value = iso7816.AppendTLV(value, tagExponent, big.NewInt(int64(key.E)).Bytes())
	case *ecdsa.PrivateKey:
		d, ok := curveOf(key)
		if !ok {
			return nil
		}
		object := d.parameters()
		object[ecPoint] = point(key)
		for tag := ecPrime; tag <= ecCofactor; tag++ {
			value = iso7816.AppendTLV(value, tag, object[tag])
		}
	}
	return iso7816.AppendTLV(nil, tagPublicKey, value)
}

// putKey is PUT DATA with the odd instruction, ISO/IEC 7816-8, key import:
// into the key, and of the kind, that MANAGE SECURITY ENVIRONMENT named.
func (a *isoApplet) putKey(c iso7816.Command) iso7816.Status {
	const tagRSA, tagEC = 0x7F48, 0xE0
	switch {
	case !a.validated:
		return iso7816.StatusSecurityNotSatisfied
	case c.P1 != 0x3F || c.P2 != 0xFF:
		return iso7816.StatusWrongP1P2
	case a.profile.noImport:
		return 0x6900
	case len(c.Data) > transportBuffer:
		return iso7816.StatusWrongLength
	}
	var wanted iso7816.Tag
	var assemble func(map[iso7816.Tag][]byte) (crypto.Signer, iso7816.Status)
	switch a.security.algorithm {
	case algorithmGenerateRSA:
		wanted, assemble = tagRSA, assembleCRT
	case algorithmGenerateEC:
		wanted, assemble = tagEC, assembleScalar
	default:
		return iso7816.StatusConditionsNotSatisfied
	}
	outer, rest, err := iso7816.ParseTLV(c.Data)
	if err != nil || len(rest) != 0 {
		return statusInvalidData
	}
	if outer.Tag != wanted {
		return iso7816.StatusWrongData
	}
	given, ok := parts(outer.Value)
	if !ok {
		return statusInvalidData
	}
	key, status := assemble(given)
	if status != iso7816.StatusOK {
		return status
	}
	return a.storeKey(key)
}

// assembleCRT makes an RSA key of its primes and what the Chinese remainder
// theorem wants; the exponent follows from them.
func assembleCRT(given map[iso7816.Tag][]byte) (crypto.Signer, iso7816.Status) {
	number := map[iso7816.Tag]*big.Int{}
	for _, tag := range []iso7816.Tag{partP, partQ, partCoefficient, partDP, partDQ} {
		if len(given[tag]) == 0 || len(given[tag]) > isoAppletModulus/16 {
			return nil, statusInvalidData
		}
		number[tag] = new(big.Int).SetBytes(given[tag])
	}
	p, q, one := number[partP], number[partQ], big.NewInt(1)
	if p.Cmp(one) <= 0 || q.Cmp(one) <= 0 {
		return nil, statusInvalidData
	}
	below := new(big.Int).Sub(p, one)
	e := new(big.Int).ModInverse(number[partDP], below)
	if e == nil || e.BitLen() > 31 || e.Cmp(one) <= 0 {
		return nil, statusInvalidData
	}
	phi := new(big.Int).Mul(below, new(big.Int).Sub(q, one))
	d := new(big.Int).ModInverse(e, phi)
	if d == nil {
		return nil, statusInvalidData
	}
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(e.Int64())},
		D:         d,
		Primes:    []*big.Int{p, q},
	}
	if key.N.BitLen() != isoAppletModulus || key.Validate() != nil {
		return nil, statusInvalidData
	}
	key.Precompute()
	consistent := key.Precomputed.Dp.Cmp(number[partDP]) == 0 &&
		key.Precomputed.Dq.Cmp(number[partDQ]) == 0 &&
		key.Precomputed.Qinv.Cmp(number[partCoefficient]) == 0
	if !consistent {
		return nil, statusInvalidData
	}
	return key, iso7816.StatusOK
}

// assembleScalar makes a key of its domain parameters and private number, of
// which leading zeros may be missing.
func assembleScalar(given map[iso7816.Tag][]byte) (crypto.Signer, iso7816.Status) {
	d, status := curveWith(given)
	if status != iso7816.StatusOK {
		return nil, status
	}
	private := given[ecPrivate]
	if len(private) == 0 || len(private) > d.bytes {
		return nil, statusInvalidData
	}
	scalar := append(make([]byte, d.bytes-len(private)), private...)
	key, err := ecdsa.ParseRawPrivateKey(d.curve, scalar)
	if err != nil {
		return nil, statusInvalidData
	}
	return key, iso7816.StatusOK
}
