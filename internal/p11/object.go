package p11

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"math/bits"
	"runtime"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// ckaPublicKeyInfo is CKA_PUBLIC_KEY_INFO, a SubjectPublicKeyInfo (2.40, 4.4).
const ckaPublicKeyInfo = 0x129

// objects are the handles of all objects of a class that have the other
// attributes too.
func (s *Session) objects(class uint, others ...objectAttribute) ([]object, error) {
	return s.module.library.findObjects(s.handle, append([]objectAttribute{{pkcs11.CKA_CLASS, class}}, others...))
}

// What is read of an object. Of attributes that its kind does not have,
// nothing comes back.
var (
	certificateAttributes = []uint{pkcs11.CKA_ID, pkcs11.CKA_LABEL, pkcs11.CKA_VALUE}
	publicAttributes      = []uint{
		pkcs11.CKA_ID, pkcs11.CKA_LABEL, pkcs11.CKA_KEY_TYPE, ckaPublicKeyInfo,
		pkcs11.CKA_MODULUS, pkcs11.CKA_PUBLIC_EXPONENT, pkcs11.CKA_EC_PARAMS, pkcs11.CKA_EC_POINT,
	}
	privateAttributes = append([]uint{
		pkcs11.CKA_SIGN, pkcs11.CKA_DECRYPT, pkcs11.CKA_DERIVE, pkcs11.CKA_UNWRAP,
		pkcs11.CKA_ALWAYS_AUTHENTICATE, pkcs11.CKA_ALLOWED_MECHANISMS,
	}, publicAttributes...)
)

// anyAttributes are read of an object whose class is not known: those that are
// never a secret.
var anyAttributes = append([]uint{pkcs11.CKA_CLASS}, privateAttributes...)

// values are attributes as they were read, without those that the object does
// not tell.
type values map[uint][]byte

// read asks for attributes of an object. It fails where the session or the
// object is not there any more.
func (s *Session) read(o object, kinds []uint) (values, error) {
	list, err := s.module.library.attributes(s.handle, o, kinds)
	if err != nil {
		return nil, err
	}
	v := make(values)
	for i, kind := range kinds {
		if list[i] != nil {
			v[kind] = list[i]
		}
	}
	return v, nil
}

// publicKey is the public key that an object of a public key, or of a private
// one that is generous, tells of; nil where it does not.
func (v values) publicKey() crypto.PublicKey {
	if public, err := pubkey.Parse(v[ckaPublicKeyInfo]); err == nil {
		return public
	}
	var (
		public crypto.PublicKey
		err    error
	)
	switch v.number(pkcs11.CKA_KEY_TYPE) {
	case pkcs11.CKK_RSA:
		public, err = rsaPublicKey(v[pkcs11.CKA_MODULUS], v[pkcs11.CKA_PUBLIC_EXPONENT])
	case pkcs11.CKK_EC, ckkECEdwards, ckkECMontgomery:
		public, err = ecPublicKey(v[pkcs11.CKA_EC_PARAMS], v[pkcs11.CKA_EC_POINT])
	}
	if err != nil {
		return nil
	}
	return public
}

// number is a CK_ULONG attribute; unknownNumber where it is none.
func (v values) number(kind uint) uint {
	numbers := parseNumbers(v[kind])
	if len(numbers) != 1 {
		return unknownNumber
	}
	return numbers[0]
}

const unknownNumber = ^uint(0)

// flag is a CK_BBOOL attribute, or what to take where the object has none.
func (v values) flag(kind uint, otherwise bool) bool {
	value := v[kind]
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
