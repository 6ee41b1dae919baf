package cardsim

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"math/big"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// domainCurve is an elliptic curve that the applet knows, by the domain
// parameters that hosts give instead of a name.
type domainCurve struct {
	curve elliptic.Curve
	bytes int // of a coordinate
}

func domainCurves() []domainCurve {
	return []domainCurve{{elliptic.P256(), 32}, {elliptic.P384(), 48}}
}

// Domain parameters and keys, tags as in ISO/IEC 7816-8, with 87 and 88.
const (
	ecPrime     iso7816.Tag = 0x81
	ecA         iso7816.Tag = 0x82
	ecB         iso7816.Tag = 0x83
	ecGenerator iso7816.Tag = 0x84
	ecOrder     iso7816.Tag = 0x85
	ecPoint     iso7816.Tag = 0x86 // of the public key
	ecCofactor  iso7816.Tag = 0x87
	ecPrivate   iso7816.Tag = 0x88
)

// parameters are the domain parameters of the curve: numbers of the length of
// a coordinate, the generator as an uncompressed point, the cofactor in two
// bytes.
func (d domainCurve) parameters() map[iso7816.Tag][]byte {
	p := d.curve.Params()
	number := func(n *big.Int) []byte { return n.FillBytes(make([]byte, d.bytes)) }
	generator := append([]byte{0x04}, number(p.Gx)...)
	return map[iso7816.Tag][]byte{
		ecPrime:     number(p.P),
		ecA:         number(new(big.Int).Sub(p.P, big.NewInt(3))),
		ecB:         number(p.B),
		ecGenerator: append(generator, number(p.Gy)...),
		ecOrder:     number(p.N),
		ecCofactor:  {0x00, 0x01},
	}
}

// curveWith finds the curve with these domain parameters. A parameter that is
// missing is statusInvalidData, another curve StatusFunctionNotSupported.
func curveWith(parameters map[iso7816.Tag][]byte) (domainCurve, iso7816.Status) {
	for _, tag := range []iso7816.Tag{ecPrime, ecA, ecB, ecGenerator, ecOrder, ecCofactor} {
		if len(parameters[tag]) == 0 {
			return domainCurve{}, statusInvalidData
		}
	}
	for _, d := range domainCurves() {
		same := true
		for tag, own := range d.parameters() {
			given := parameters[tag]
			if tag == ecCofactor && len(given) == 1 {
				own = own[1:]
			}
			same = same && bytes.Equal(own, given)
		}
		if same {
			return d, iso7816.StatusOK
		}
	}
	return domainCurve{}, iso7816.StatusFunctionNotSupported
}

func curveOf(key *ecdsa.PrivateKey) (domainCurve, bool) {
	for _, d := range domainCurves() {
		if d.curve == key.Curve {
			return d, true
		}
	}
	return domainCurve{}, false
}

// parts reads data objects into a map; the first of a tag counts.
func parts(data []byte) (map[iso7816.Tag][]byte, bool) {
	objects, err := iso7816.ParseTLVs(data)
	if err != nil {
		return nil, false
	}
	m := map[iso7816.Tag][]byte{}
	for _, object := range objects {
		if _, twice := m[object.Tag]; !twice {
			m[object.Tag] = object.Value
		}
	}
	return m, true
}
