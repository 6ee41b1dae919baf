package cardsim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// performSecurityOperation is PERFORM SECURITY OPERATION, ISO/IEC 7816-8, with
// the key of the security environment.
func (a *isoApplet) performSecurityOperation(c iso7816.Command) ([]byte, iso7816.Status) {
	sign := c.P1 == 0x9E && c.P2 == 0x9A
	decipher := c.P1 == 0x80 && c.P2 == 0x86
	if !a.validated {
		return nil, iso7816.StatusSecurityNotSatisfied
	}
	private := a.state.Keys[a.security.key].private
	switch key := private.(type) {
	case *rsa.PrivateKey:
		if sign && a.security.algorithm == algorithmRSAPKCS1 {
			return signRSA(key, c)
		}
		if decipher && a.security.algorithm == algorithmRSAPKCS1 {
			return decipherRSA(key, c)
		}
	case *ecdsa.PrivateKey:
		if sign && a.security.algorithm == algorithmECDSASHA1 {
			return signMessage(key, c.Data)
		}
	}
	if !sign && !decipher {
		return nil, iso7816.StatusWrongP1P2
	}
	return nil, iso7816.StatusConditionsNotSatisfied
}

// signRSA puts PKCS #1 v1.5 padding around what the host gives, which is a
// DigestInfo where it knows what it does.
func signRSA(key *rsa.PrivateKey, c iso7816.Command) ([]byte, iso7816.Status) {
	const padding = 11 // bytes at least
	if len(c.Data) == 0 || len(c.Data) > key.Size()-padding {
		return nil, iso7816.StatusWrongLength
	}
	if c.Ne < key.Size() {
		return nil, 0x6C00 // 256
	}
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.Hash(0), c.Data)
	if err != nil {
		return nil, iso7816.StatusUnknown
	}
	return signature, iso7816.StatusOK
}

// signMessage is ECDSA over the SHA-1 hash value of a message of any length.
// The signature is DER.
func signMessage(key *ecdsa.PrivateKey, message []byte) ([]byte, iso7816.Status) {
	hash := sha1.Sum(message)
	signature, err := ecdsa.SignASN1(rand.Reader, key, hash[:])
	if err != nil {
		return nil, iso7816.StatusUnknown
	}
	return signature, iso7816.StatusOK
}

// decipherRSA takes the cryptogram behind the padding indicator 00.
func decipherRSA(key *rsa.PrivateKey, c iso7816.Command) ([]byte, iso7816.Status) {
	switch {
	case len(c.Data) == 0:
		return nil, iso7816.StatusWrongLength
	case c.Data[0] != 0x00:
		return nil, iso7816.StatusWrongData
	case len(c.Data) != 1+key.Size():
		return nil, iso7816.StatusWrongLength
	}
	//lint:ignore SA1019 the applet knows no other padding
	plain, err := rsa.DecryptPKCS1v15(nil, key, c.Data[1:])
	if err != nil {
		return nil, iso7816.StatusWrongData
	}
	return plain, iso7816.StatusOK
}
