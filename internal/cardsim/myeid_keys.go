package cardsim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"math/big"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// myEIDKey is what a key file holds: a key, or the parts of one that is being
// loaded.
type myEIDKey struct {
	PKCS8 []byte          `json:"pkcs8,omitempty"`
	Parts map[byte][]byte `json:"parts,omitempty"`

	private crypto.Signer // PKCS8 parsed; nil where there is none
}

// Parts of a key in PUT DATA.
const (
	loadModulus     = 0x80
	loadExponent    = 0x81
	loadPrimeP      = 0x83
	loadPrimeQ      = 0x84
	loadExponentP   = 0x85
	loadExponentQ   = 0x86
	loadCoefficient = 0x87

	loadPoint  = 0x86
	loadScalar = 0x87
)

func (k *myEIDKey) check() error {
	if len(k.PKCS8) == 0 {
		return nil
	}
	private, err := x509.ParsePKCS8PrivateKey(k.PKCS8)
	if err != nil {
		return err
	}
	signer, ok := private.(crypto.Signer)
	if !ok {
		return errMyEIDFiles
	}
	k.private = signer
	return nil
}

// keepKey puts a key into the current file.
func (a *myEID) keepKey(private crypto.Signer) iso7816.Status {
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return iso7816.StatusMemoryFailure
	}
	a.current.Key = myEIDKey{PKCS8: encoded, private: private}
	return a.changed()
}

// curveOfSize is the curve whose field has that many bits; nil for none.
func curveOfSize(bits int) elliptic.Curve {
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		if curve.Params().BitSize == bits {
			return curve
		}
	}
	return nil
}

// generateKeyPair is GENERATE ASYMMETRIC KEY PAIR, ISO/IEC 7816-8, in the
// current file, whose kind and size say what key. The public exponent may be
// given, but has to be 65537. The modulus or point is answered where the
// command has an Le.
func (a *myEID) generateKeyPair(c iso7816.Command) ([]byte, iso7816.Status) {
	f := a.current
	switch {
	case c.P1 != 0 || c.P2 != 0:
		return nil, iso7816.StatusWrongP1P2
	case f.Kind != myEIDRSAKey && f.Kind != myEIDECKey:
		return nil, statusWrongStructure
	case !a.permits(f, accessGenerate):
		return nil, iso7816.StatusSecurityNotSatisfied
	case f.Key.private != nil:
		return nil, statusInvalidData
	}
	var private crypto.Signer
	var err error
	what := byte(myEIDModulus)
	if f.Kind == myEIDRSAKey {
		if !validExponent(c.Data) || f.Size%512 != 0 || f.Size < 1024 || f.Size > myEIDMaxRSA {
			return nil, statusInvalidData
		}
		private, err = rsa.GenerateKey(rand.Reader, f.Size)
	} else {
		curve := curveOfSize(f.Size)
		if curve == nil || len(c.Data) != 0 {
			return nil, iso7816.StatusConditionsNotSatisfied
		}
		what = myEIDPoint
		private, err = ecdsa.GenerateKey(curve, rand.Reader)
	}
	if err != nil {
		return nil, iso7816.StatusMemoryFailure
	}
	if status := a.keepKey(private); status != iso7816.StatusOK || c.Ne == 0 {
		return nil, status
	}
	return a.keyData(what)
}

// validExponent takes an exponent in a sequence, with the tag of an integer or
// the one that OpenSC has.
func validExponent(data []byte) bool {
	if len(data) == 0 {
		return true
	}
	outer, rest, err := iso7816.ParseTLV(data)
	if err != nil || len(rest) != 0 || outer.Tag != 0x30 {
		return false
	}
	inner, rest, err := iso7816.ParseTLV(outer.Value)
	return err == nil && len(rest) == 0 && (inner.Tag == 0x02 || inner.Tag == 0x81) && string(inner.Value) == "\x01\x00\x01"
}

// loadKey takes one part of a key. With the last one there is a key.
func (a *myEID) loadKey(part byte, value []byte) iso7816.Status {
	f := a.current
	switch {
	case f.Kind != myEIDRSAKey && f.Kind != myEIDECKey:
		return statusWrongStructure
	case len(value) == 0:
		return iso7816.StatusWrongLength
	case !a.permits(f, accessUpdate):
		return iso7816.StatusSecurityNotSatisfied
	case f.Key.private != nil:
		return statusInvalidData
	}
	if f.Key.Parts == nil {
		f.Key.Parts = map[byte][]byte{}
	}
	f.Key.Parts[part] = value
	private, status := f.assemble()
	switch {
	case status != iso7816.StatusOK:
		f.Key.Parts = nil
		return status
	case private == nil:
		return a.save()
	}
	return a.keepKey(private)
}

// assemble makes a key of its parts; nil while some are missing.
func (f *myEIDFile) assemble() (crypto.Signer, iso7816.Status) {
	wanted := []byte{loadPrimeP, loadPrimeQ, loadExponentP, loadExponentQ, loadCoefficient, loadModulus, loadExponent}
	if f.Kind == myEIDECKey {
		wanted = []byte{loadScalar, loadPoint}
	}
	number := map[byte]*big.Int{}
	for _, part := range wanted {
		value, ok := f.Key.Parts[part]
		if !ok {
			return nil, iso7816.StatusOK
		}
		number[part] = new(big.Int).SetBytes(value)
	}
	if f.Kind == myEIDECKey {
		return f.assembleEC()
	}
	p, q, e := number[loadPrimeP], number[loadPrimeQ], number[loadExponent]
	one := big.NewInt(1)
	phi := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
	d := new(big.Int)
	if !e.IsInt64() || phi.Sign() <= 0 || d.ModInverse(e, phi) == nil {
		return nil, statusInvalidData
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: number[loadModulus], E: int(e.Int64())}, D: d, Primes: []*big.Int{p, q}}
	if key.N.BitLen() != f.Size || key.Validate() != nil {
		return nil, statusInvalidData
	}
	key.Precompute()
	c := key.Precomputed
	if c.Dp.Cmp(number[loadExponentP]) != 0 || c.Dq.Cmp(number[loadExponentQ]) != 0 || c.Qinv.Cmp(number[loadCoefficient]) != 0 {
		return nil, statusInvalidData
	}
	return key, iso7816.StatusOK
}

func (f *myEIDFile) assembleEC() (crypto.Signer, iso7816.Status) {
	curve := curveOfSize(f.Size)
	if curve == nil {
		return nil, statusWrongStructure
	}
	key, err := ecdsa.ParseRawPrivateKey(curve, f.Key.Parts[loadScalar])
	if err != nil || string(point(key)) != string(f.Key.Parts[loadPoint]) {
		return nil, statusInvalidData
	}
	return key, iso7816.StatusOK
}
