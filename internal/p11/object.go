package p11

import (
	"bytes"
	"crypto"
	"encoding/binary"
	"math/bits"
	"runtime"
	"slices"

	"github.com/miekg/pkcs11"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// ckaPublicKeyInfo is CKA_PUBLIC_KEY_INFO, a SubjectPublicKeyInfo (2.40, 4.4).
const ckaPublicKeyInfo = 0x129

// publicObject is a certificate or public key on a token. A certificate has
// both.
type publicObject struct {
	id          []byte
	label       string
	public      crypto.PublicKey
	certificate *cert.Certificate
}

// publicObjects reads the certificates and public keys that are visible now and
// have the other attributes. An object that cannot be read, or whose key is of a kind that is unknown
// here, is left out: it is not the one that is looked for.
func (s *Session) publicObjects(having ...objectAttribute) ([]publicObject, error) {
	var found []publicObject
	certificates, err := s.objects(pkcs11.CKO_CERTIFICATE, having...)
	if err != nil {
		return nil, err
	}
	for _, o := range certificates {
		v, err := s.read(o, certificateAttributes)
		if err != nil {
			return nil, err
		}
		certificate, err := cert.Parse(v[pkcs11.CKA_VALUE])
		if err != nil {
			continue
		}
		found = append(found, publicObject{
			id:          v[pkcs11.CKA_ID],
			label:       string(v[pkcs11.CKA_LABEL]),
			public:      certificate.PublicKey,
			certificate: certificate,
		})
	}
	keys, err := s.objects(pkcs11.CKO_PUBLIC_KEY, having...)
	if err != nil {
		return nil, err
	}
	for _, o := range keys {
		v, err := s.read(o, publicAttributes)
		if err != nil {
			return nil, err
		}
		public := v.publicKey()
		if public == nil {
			continue
		}
		found = append(found, publicObject{
			id:     v[pkcs11.CKA_ID],
			label:  string(v[pkcs11.CKA_LABEL]),
			public: public,
		})
	}
	return found, nil
}

// objects are the handles of all objects of a class that have the other
// attributes too.
func (s *Session) objects(class uint, others ...objectAttribute) ([]object, error) {
	return s.module.library.findObjects(s.handle, append([]objectAttribute{{pkcs11.CKA_CLASS, class}}, others...))
}

// names are the attributes that objects which the URI means have.
func (u URI) names() []objectAttribute {
	var having []objectAttribute
	if id, ok := u.Get(AttrID); ok {
		having = append(having, objectAttribute{pkcs11.CKA_ID, []byte(id)})
	}
	if label, ok := u.Get(AttrObject); ok {
		having = append(having, objectAttribute{pkcs11.CKA_LABEL, []byte(label)})
	}
	return having
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
