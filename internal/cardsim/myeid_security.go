package cardsim

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"math/big"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// myEIDSecurity is what MANAGE SECURITY ENVIRONMENT set.
type myEIDSecurity struct {
	template  byte // B6 signature, B8 confidentiality, A4 authentication; 0 for none
	algorithm byte
	file      *myEIDFile
	half      []byte // of a cryptogram whose other half has to be the next command
}

// Algorithm references.
const (
	myEIDRaw   = 0x00 // RSA
	myEIDPKCS1 = 0x02 // RSA, padding by the card
	myEIDSHA1  = 0x12 // RSA, DigestInfo of SHA-1 and padding by the card
	myEIDEC    = 0x04 // ECDSA and ECDH
)

// manageSecurityEnvironment is MANAGE SECURITY ENVIRONMENT, ISO/IEC 7816-4,
// SET: algorithm (80), the key's file in the current DF (81), and a key in it,
// which is always 0 (84).
func (a *myEID) manageSecurityEnvironment(c iso7816.Command) iso7816.Status {
	const set, signature, confidentiality, authentication = 0x41, 0xB6, 0xB8, 0xA4
	a.security = myEIDSecurity{}
	if c.P1 != set || c.P2 != signature && c.P2 != confidentiality && c.P2 != authentication {
		return iso7816.StatusFunctionNotSupported
	}
	algorithm, one := iso7816.FindTLV(c.Data, 0x80)
	file, two := iso7816.FindTLV(c.Data, 0x81)
	key, three := iso7816.FindTLV(c.Data, 0x84)
	if !one || !two || len(algorithm) != 1 || len(file) != 2 || three && !bytes.Equal(key, []byte{0}) {
		return iso7816.StatusFunctionNotSupported
	}
	f := a.current.directory().child(uint16(file[0])<<8 | uint16(file[1]))
	if f == nil || f.Kind == myEIDDF {
		return iso7816.StatusReferenceNotFound
	}
	switch algorithm[0] {
	case myEIDRaw, myEIDPKCS1, myEIDSHA1, myEIDEC:
	default:
		return iso7816.StatusFunctionNotSupported
	}
	a.security = myEIDSecurity{template: c.P2, algorithm: algorithm[0], file: f}
	return iso7816.StatusOK
}

// key is the key of the security environment, for one of its templates.
func (a *myEID) key(template byte) (crypto.Signer, iso7816.Status) {
	f := a.security.file
	switch {
	case a.security.template != template || f.Key.private == nil:
		return nil, iso7816.StatusConditionsNotSatisfied
	case !a.permits(f, accessRead):
		return nil, iso7816.StatusSecurityNotSatisfied
	}
	return f.Key.private, iso7816.StatusOK
}

// performSecurityOperation is PERFORM SECURITY OPERATION, ISO/IEC 7816-8:
// COMPUTE DIGITAL SIGNATURE and DECIPHER.
func (a *myEID) performSecurityOperation(c iso7816.Command) ([]byte, iso7816.Status) {
	switch {
	case c.P1 == 0x9E && c.P2 == 0x9A:
		private, status := a.key(0xB6)
		if status != iso7816.StatusOK {
			return nil, status
		}
		return a.sign(private, c.Data)
	case c.P1 == 0x80 && (c.P2 == 0x86 || c.P2 == 0x84):
		private, status := a.key(0xB8)
		if status != iso7816.StatusOK {
			return nil, status
		}
		if c.P2 == 0x84 {
			c.Data = append([]byte{0}, c.Data...)
		}
		return a.decipher(private, c.Data)
	}
	return nil, iso7816.StatusWrongP1P2
}

func (a *myEID) sign(private crypto.Signer, data []byte) ([]byte, iso7816.Status) {
	var signature []byte
	var err error
	switch key := private.(type) {
	case *rsa.PrivateKey:
		const padding = 11
		switch {
		case a.security.algorithm == myEIDRaw && len(data) == key.Size():
			return rawRSA(key, data)
		case a.security.algorithm == myEIDPKCS1 && len(data) <= key.Size()-padding:
			signature, err = rsa.SignPKCS1v15(nil, key, crypto.Hash(0), data)
		case a.security.algorithm == myEIDSHA1 && len(data) == crypto.SHA1.Size():
			signature, err = rsa.SignPKCS1v15(nil, key, crypto.SHA1, data)
		default:
			return nil, iso7816.StatusConditionsNotSatisfied
		}
	case *ecdsa.PrivateKey:
		if a.security.algorithm != myEIDEC {
			return nil, iso7816.StatusConditionsNotSatisfied
		}
		if len(data) > (key.Curve.Params().BitSize+7)/8 {
			return nil, iso7816.StatusWrongLength
		}
		// What is signed is a number, not the leftmost bits of something.
		signature, err = ecdsa.SignASN1(rand.Reader, key, bytes.TrimLeft(data, "\x00"))
	}
	if err != nil {
		return nil, iso7816.StatusUnknown
	}
	return signature, iso7816.StatusOK
}

// rawRSA is the RSA operation without any padding.
func rawRSA(key *rsa.PrivateKey, data []byte) ([]byte, iso7816.Status) {
	m := new(big.Int).SetBytes(data)
	if m.Cmp(key.N) >= 0 {
		return nil, iso7816.StatusConditionsNotSatisfied
	}
	return m.Exp(m, key.D, key.N).FillBytes(make([]byte, key.Size())), iso7816.StatusOK
}

// decipher takes the cryptogram behind the padding indicator 00, or one of 256 bytes in two
// commands, its halves behind 81 and 82. With the algorithm for it the card takes the padding
// off.
func (a *myEID) decipher(private crypto.Signer, data []byte) ([]byte, iso7816.Status) {
	const halved, first, second = 256, 0x81, 0x82
	key, ok := private.(*rsa.PrivateKey)
	half := a.security.half
	a.security.half = nil
	switch {
	case !ok:
		return nil, iso7816.StatusConditionsNotSatisfied
	case len(data) == 1+halved/2 && key.Size() == halved && data[0] == first:
		a.security.half = bytes.Clone(data[1:])
		return nil, iso7816.StatusOK
	case len(data) == 1+halved/2 && half != nil && data[0] == second:
		data = slices.Concat([]byte{0}, half, data[1:])
	}
	switch {
	case len(data) != 1+key.Size():
		return nil, iso7816.StatusWrongLength
	case data[0] != 0:
		return nil, iso7816.StatusWrongData
	case a.security.algorithm == myEIDRaw:
		return rawRSA(key, data[1:])
	}
	//lint:ignore SA1019 the applet knows no other padding
	plain, err := rsa.DecryptPKCS1v15(nil, key, data[1:])
	if err != nil {
		return nil, iso7816.StatusConditionsNotSatisfied
	}
	return plain, iso7816.StatusOK
}

// agree is GENERAL AUTHENTICATE, ISO/IEC 7816-4: ECDH with the point in DO
// 7C/85; its x coordinate is answered.
func (a *myEID) agree(c iso7816.Command) ([]byte, iso7816.Status) {
	private, status := a.key(0xA4)
	if status != iso7816.StatusOK {
		return nil, status
	}
	key, ok := private.(*ecdsa.PrivateKey)
	template, rest, err := iso7816.ParseTLV(c.Data)
	if !ok || err != nil || len(rest) != 0 || template.Tag != 0x7C {
		return nil, statusInvalidData
	}
	given, _ := iso7816.FindTLV(template.Value, 0x85)
	own, err := key.ECDH()
	if err != nil {
		return nil, iso7816.StatusUnknown
	}
	public, err := own.Curve().NewPublicKey(given)
	if err != nil {
		return nil, statusInvalidData
	}
	shared, err := own.ECDH(public)
	if err != nil {
		return nil, statusInvalidData
	}
	return shared, iso7816.StatusOK
}
