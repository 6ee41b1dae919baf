package cardsim

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"errors"
	"math/big"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// putDataOdd is PUT DATA with the odd instruction, section 7.2.8: key import
// by an extended header list (section 4.4.3.12).
func (a *openpgp) putDataOdd(c iso7816.Command) iso7816.Status {
	if c.P1 != 0x3F || c.P2 != 0xFF {
		return iso7816.StatusWrongOffset
	}
	if !a.has(pw3) {
		return iso7816.StatusSecurityNotSatisfied
	}
	header, err := parseHeaderList(c.Data)
	if err != nil {
		return iso7816.StatusWrongData
	}
	if header.empty {
		a.removeKey(header.slot)
		return a.save()
	}
	at, err := parseAttributes(a.state.Keys[header.slot].Attributes)
	if err != nil {
		return iso7816.StatusWrongData
	}
	private, err := at.assemble(header.parts)
	if err != nil {
		return iso7816.StatusWrongData
	}
	if a.profile.noRoomForImport {
		a.removeKey(header.slot)
		if status := a.save(); status != iso7816.StatusOK {
			return status
		}
		return iso7816.StatusMemoryFailure
	}
	return a.storeKey(header.slot, private, keyImported)
}

// headerList is DO 4D: which key, and its parts by their tags.
type headerList struct {
	slot  slot
	empty bool // no parts: the key goes
	parts map[iso7816.Tag][]byte
}

// Parts of a private key, tags inside of the template 7F48.
const (
	partExponent    iso7816.Tag = 0x91
	partP           iso7816.Tag = 0x92
	partQ           iso7816.Tag = 0x93
	partCoefficient iso7816.Tag = 0x94 // 1/q mod p
	partDP          iso7816.Tag = 0x95
	partDQ          iso7816.Tag = 0x96
	partModulus     iso7816.Tag = 0x97

	partPrivate iso7816.Tag = 0x92
	partPoint   iso7816.Tag = 0x99
)

var errImport = errors.New("malformed key import")

func parseHeaderList(data []byte) (headerList, error) {
	const tagHeaderList, tagTemplate, tagData = 0x4D, 0x7F48, 0x5F48
	list, rest, err := iso7816.ParseTLV(data)
	if err != nil || list.Tag != tagHeaderList || len(rest) != 0 {
		return headerList{}, errImport
	}
	objects, err := iso7816.ParseTLVs(list.Value)
	if err != nil || len(objects) == 0 {
		return headerList{}, errImport
	}
	s, ok := slotOf(objects[0])
	if !ok {
		return headerList{}, errImport
	}
	header := headerList{slot: s, parts: map[iso7816.Tag][]byte{}}
	if len(objects) == 1 {
		header.empty = true
		return header, nil
	}
	if len(objects) != 3 || objects[1].Tag != tagTemplate || objects[2].Tag != tagData {
		return headerList{}, errImport
	}
	// The template holds tags and lengths only; the values stand in 5F48.
	template, values := objects[1].Value, objects[2].Value
	for len(template) > 0 {
		tag, afterTag, err := iso7816.ParseTag(template)
		if err != nil {
			return headerList{}, errImport
		}
		length, afterLength, err := iso7816.ParseLength(afterTag)
		if err != nil || length > len(values) || header.parts[tag] != nil {
			return headerList{}, errImport
		}
		header.parts[tag] = values[:length:length]
		template, values = afterLength, values[length:]
	}
	if len(values) != 0 || len(header.parts) == 0 {
		return headerList{}, errImport
	}
	return header, nil
}

// assemble makes the private key of the parts that came.
func (at attributes) assemble(parts map[iso7816.Tag][]byte) (crypto.PrivateKey, error) {
	if at.algorithm == algorithmRSA {
		return at.assembleRSA(parts)
	}
	private, given := parts[partPrivate], parts[partPoint]
	wanted := 1
	if given != nil {
		wanted = 2
	}
	if len(parts) != wanted || len(private) == 0 || len(private) > at.curve.bytes || at.wantsPoint && given == nil {
		return nil, errImport
	}
	// Leading zeros may be missing.
	scalar := append(make([]byte, at.curve.bytes-len(private)), private...)
	key, err := at.assembleEC(scalar)
	if err != nil {
		return nil, err
	}
	if given != nil && !samePoint(key, given) {
		return nil, errImport
	}
	return key, nil
}

func (at attributes) assembleEC(scalar []byte) (crypto.PrivateKey, error) {
	switch {
	case at.algorithm == algorithmEdDSA:
		return ed25519.NewKeyFromSeed(scalar), nil
	case at.curve.nist != nil:
		return ecdsa.ParseRawPrivateKey(at.curve.nist, scalar)
	default:
		// OpenPGP writes the scalar of X25519 big-endian.
		slices.Reverse(scalar)
		return at.curve.ecdh.NewPrivateKey(scalar)
	}
}

// samePoint compares a public key that came along; the prefix 40 of RFC 4880bis
// for native points may be there.
func samePoint(private crypto.PrivateKey, given []byte) bool {
	var own []byte
	switch k := private.(type) {
	case *ecdsa.PrivateKey:
		own = point(k)
	case ed25519.PrivateKey:
		own = k.Public().(ed25519.PublicKey)
	case *ecdh.PrivateKey:
		own = k.PublicKey().Bytes()
	}
	return bytes.Equal(own, given) || len(given) == len(own)+1 && given[0] == 0x40 && bytes.Equal(own, given[1:])
}

// assembleRSA takes exactly the parts that the import format of the
// attributes names.
func (at attributes) assembleRSA(parts map[iso7816.Tag][]byte) (crypto.PrivateKey, error) {
	wanted := []iso7816.Tag{partExponent, partP, partQ}
	if at.format == importCRT || at.format == importCRTModulus {
		wanted = append(wanted, partCoefficient, partDP, partDQ)
	}
	if at.format == importStandardModulus || at.format == importCRTModulus {
		wanted = append(wanted, partModulus)
	}
	number := map[iso7816.Tag]*big.Int{}
	for _, tag := range wanted {
		if len(parts[tag]) == 0 {
			return nil, errImport
		}
		number[tag] = new(big.Int).SetBytes(parts[tag])
	}
	e, p, q := number[partExponent], number[partP], number[partQ]
	fits := len(parts) == len(wanted) &&
		len(parts[partExponent]) <= (at.exponentBits+7)/8 && e.BitLen() <= 31 && e.Bit(0) == 1 && e.BitLen() > 1 &&
		len(parts[partP]) <= at.bits/16 && len(parts[partQ]) <= at.bits/16
	if !fits {
		return nil, errImport
	}
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	if phi.Sign() == 0 {
		return nil, errImport
	}
	d := new(big.Int).ModInverse(e, phi)
	if d == nil {
		return nil, errImport
	}
	key := &rsa.PrivateKey{
		PublicKey: rsa.PublicKey{N: new(big.Int).Mul(p, q), E: int(e.Int64())},
		D:         d,
		Primes:    []*big.Int{p, q},
	}
	if key.N.BitLen() != at.bits || key.Validate() != nil {
		return nil, errImport
	}
	key.Precompute()
	for tag, own := range map[iso7816.Tag]*big.Int{
		partModulus: key.N, partCoefficient: key.Precomputed.Qinv, partDP: key.Precomputed.Dp, partDQ: key.Precomputed.Dq,
	} {
		if given := number[tag]; given != nil && given.Cmp(own) != 0 {
			return nil, errImport
		}
	}
	return key, nil
}
