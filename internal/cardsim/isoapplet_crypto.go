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
		if sign && a.security.algorithm == algorithmRSAPSS {
			return signPSS(key, c)
		}
		if decipher && a.security.algorithm == algorithmRSAPKCS1 {
			return decipherRSA(key, c)
		}
	case *ecdsa.PrivateKey:
		if sign && a.security.algorithm == algorithmECDSASHA1 {
			return a.signEC(key, c.Data)
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

// signPSS is RSASSA-PSS with the SHA-2 or SHA-1 whose hash value has this length, and a
// salt of that length.
func signPSS(key *rsa.PrivateKey, c iso7816.Command) ([]byte, iso7816.Status) {
	hash, ok := map[int]crypto.Hash{20: crypto.SHA1, 28: crypto.SHA224, 32: crypto.SHA256, 48: crypto.SHA384, 64: crypto.SHA512}[len(c.Data)]
	if !ok {
		return nil, iso7816.StatusWrongLength
	}
	if c.Ne < key.Size() {
		return nil, 0x6C00 // 256
	}
	signature, err := rsa.SignPSS(rand.Reader, key, hash, c.Data, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
	if err != nil {
		return nil, iso7816.StatusUnknown
	}
	return signature, iso7816.StatusOK
}

// signEC is ECDSA: of version 1.0 over a hash value, before over the SHA-1 hash value of
// a message of any length. The signature is DER.
func (a *isoApplet) signEC(key *ecdsa.PrivateKey, input []byte) ([]byte, iso7816.Status) {
	if !a.profile.isoApplet1 {
		hash := sha1.Sum(input)
		input = hash[:]
	}
	signature, err := ecdsa.SignASN1(rand.Reader, key, input)
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
