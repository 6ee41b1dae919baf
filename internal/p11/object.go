package p11

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/binary"
	"math/bits"
	"runtime"
	"slices"

	"github.com/miekg/pkcs11"
)

// ckaPublicKeyInfo is CKA_PUBLIC_KEY_INFO, a SubjectPublicKeyInfo (2.40, 4.4).
const ckaPublicKeyInfo = 0x129

// publicObject is a certificate or public key on a token. A certificate has
// both.
type publicObject struct {
	id          []byte
	label       string
	public      crypto.PublicKey
	certificate *x509.Certificate
}

// publicObjects reads the certificates and public keys that are visible now.
// An object that cannot be read, or whose key is of a kind that is unknown
// here, is left out: it is not the one that is looked for.
func (s *Session) publicObjects() ([]publicObject, error) {
	var found []publicObject
	certificates, err := s.objects(pkcs11.CKO_CERTIFICATE)
	if err != nil {
		return nil, err
	}
	for _, o := range certificates {
		certificate, err := x509.ParseCertificate(s.bytes(o, pkcs11.CKA_VALUE))
		if err != nil {
			continue
		}
		found = append(found, publicObject{
			id:          s.bytes(o, pkcs11.CKA_ID),
			label:       string(s.bytes(o, pkcs11.CKA_LABEL)),
			public:      certificate.PublicKey,
			certificate: certificate,
		})
	}
	keys, err := s.objects(pkcs11.CKO_PUBLIC_KEY)
	if err != nil {
		return nil, err
	}
	for _, o := range keys {
		public := s.publicKey(o)
		if public == nil {
			continue
		}
		found = append(found, publicObject{
			id:     s.bytes(o, pkcs11.CKA_ID),
			label:  string(s.bytes(o, pkcs11.CKA_LABEL)),
			public: public,
		})
	}
	return found, nil
}

func (s *Session) objects(class uint) ([]object, error) {
	return s.module.library.findObjects(s.handle, []objectAttribute{{pkcs11.CKA_CLASS, class}})
}

// publicKey is the public key that an object of a public key, or of a private
// one that is generous, tells of; nil where it does not.
func (s *Session) publicKey(o object) crypto.PublicKey {
	var (
		public crypto.PublicKey
		err    error
	)
	if info := s.bytes(o, ckaPublicKeyInfo); len(info) > 0 {
		if public, err = x509.ParsePKIXPublicKey(info); err == nil {
			return public
		}
	}
	switch s.number(o, pkcs11.CKA_KEY_TYPE) {
	case pkcs11.CKK_RSA:
		public, err = rsaPublicKey(s.bytes(o, pkcs11.CKA_MODULUS), s.bytes(o, pkcs11.CKA_PUBLIC_EXPONENT))
	case pkcs11.CKK_EC, ckkECEdwards, ckkECMontgomery:
		public, err = ecPublicKey(s.bytes(o, pkcs11.CKA_EC_PARAMS), s.bytes(o, pkcs11.CKA_EC_POINT))
	}
	if err != nil {
		return nil
	}
	return public
}

// bytes is an attribute's value, nil where the object has none to tell. The
// attributes are read one by one, for one that is missing fails them all.
func (s *Session) bytes(o object, kind uint) []byte {
	value, err := s.module.library.attribute(s.handle, o, kind)
	if err != nil {
		return nil
	}
	return value
}

// number is a CK_ULONG attribute; unknownNumber where it is none.
func (s *Session) number(o object, kind uint) uint {
	numbers := parseNumbers(s.bytes(o, kind))
	if len(numbers) != 1 {
		return unknownNumber
	}
	return numbers[0]
}

const unknownNumber = ^uint(0)

// flag is a CK_BBOOL attribute, or what to take where the object has none.
func (s *Session) flag(o object, kind uint, otherwise bool) bool {
	value := s.bytes(o, kind)
	if len(value) != 1 {
		return otherwise
	}
	return value[0] != 0
}

// parseNumbers reads CK_ULONGs, which are 4 bytes long on Windows and on 32-bit
// systems, else 8.
func parseNumbers(b []byte) []uint {
	size := bits.UintSize / 8
	if runtime.GOOS == "windows" {
		size = 4
	}
	if len(b)%size != 0 {
		return nil
	}
	var numbers []uint
	for chunk := range slices.Chunk(b, size) {
		if size == 4 {
			numbers = append(numbers, uint(binary.NativeEndian.Uint32(chunk)))
		} else {
			numbers = append(numbers, uint(binary.NativeEndian.Uint64(chunk)))
		}
	}
	return numbers
}

func contains(ids [][]byte, id []byte) bool {
	return slices.ContainsFunc(ids, func(other []byte) bool { return bytes.Equal(other, id) })
}
