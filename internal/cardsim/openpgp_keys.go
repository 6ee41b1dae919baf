package cardsim

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"math/big"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// keySlot is one key pair with what the host said of it.
type keySlot struct {
	Attributes  []byte    `json:"attributes"`
	Origin      keyOrigin `json:"origin"`
	PKCS8       []byte    `json:"pkcs8,omitempty"`
	Fingerprint []byte    `json:"fingerprint"`
	Created     []byte    `json:"created"`

	private crypto.PrivateKey // PKCS8 parsed
}

// keyOrigin is the status byte of DO DE, key information.
type keyOrigin byte

const (
	keyAbsent keyOrigin = iota
	keyGenerated
	keyImported
)

// load parses the stored key.
func (k *keySlot) load() error {
	k.private = nil
	if len(k.PKCS8) == 0 {
		k.Origin = keyAbsent
		return nil
	}
	if k.Origin != keyGenerated && k.Origin != keyImported {
		return errors.New("a key without origin")
	}
	private, err := x509.ParsePKCS8PrivateKey(k.PKCS8)
	if err != nil {
		return err
	}
	switch private.(type) {
	case *rsa.PrivateKey, *ecdsa.PrivateKey, ed25519.PrivateKey, *ecdh.PrivateKey:
		k.private = private
		return nil
	}
	return errors.New("a key of a kind the card does not have")
}

// storeKey puts a key pair into the slot. A new signature key begins to count
// its signatures at zero.
func (a *openpgp) storeKey(s slot, private crypto.PrivateKey, origin keyOrigin) iso7816.Status {
	encoded, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return iso7816.StatusMemoryFailure
	}
	k := &a.state.Keys[s]
	k.PKCS8, k.Origin, k.private = encoded, origin, private
	a.forgetInteraction(s)
	if s == slotSIG {
		a.state.SignatureCounter = 0
	}
	return a.save()
}

// removeKey empties the slot, without committing it.
func (a *openpgp) removeKey(s slot) {
	k := &a.state.Keys[s]
	*k = keySlot{
		Attributes:  k.Attributes,
		Fingerprint: make([]byte, fingerprintLength),
		Created:     make([]byte, timeLength),
	}
	if s == slotSIG {
		a.state.SignatureCounter = 0
	}
	a.forgetInteraction(s)
}

// forgetInteraction ends a permanent flag on a card where it lasts as long as its key.
func (a *openpgp) forgetInteraction(s slot) {
	if flag := &a.state.UIF[s]; a.profile.yubikey.there() && (*flag == uifPermanent || *flag == uifPermanentCached) {
		*flag = uifOff
	}
}

// slotOf reads a control reference template for key generation, key import and
// reading a public key: B6 signature, B8 decryption, A4 authentication, empty
// or with the key's number in DO 84.
func slotOf(template iso7816.TLV) (slot, bool) {
	var s slot
	switch template.Tag {
	case 0xB6:
		s = slotSIG
	case 0xB8:
		s = slotDEC
	case 0xA4:
		s = slotAUT
	default:
		return 0, false
	}
	if len(template.Value) == 0 {
		return s, true
	}
	number, ok := iso7816.FindTLV(template.Value, 0x84)
	return s, ok && len(number) == 1 && int(number[0]) == int(s)+1
}

// publicKey is DO 7F49, section 7.2.14.
func publicKey(private crypto.PrivateKey) []byte {
	const (
		tagPublicKey = 0x7F49
		tagModulus   = 0x81
		tagExponent  = 0x82
		tagPoint     = 0x86
	)
	var value []byte
	switch k := private.(type) {
	case *rsa.PrivateKey:
		value = iso7816.AppendTLV(value, tagModulus, k.N.Bytes())
		value = iso7816.AppendTLV(value, tagExponent, big.NewInt(int64(k.E)).Bytes())
	case *ecdsa.PrivateKey:
		value = iso7816.AppendTLV(value, tagPoint, point(k))
	case ed25519.PrivateKey:
		value = iso7816.AppendTLV(value, tagPoint, k.Public().(ed25519.PublicKey))
	case *ecdh.PrivateKey:
		value = iso7816.AppendTLV(value, tagPoint, k.PublicKey().Bytes())
	}
	return iso7816.AppendTLV(nil, tagPublicKey, value)
}

// point is the uncompressed point of the public key.
func point(k *ecdsa.PrivateKey) []byte {
	encoded, err := k.PublicKey.Bytes()
	if err != nil {
		return nil // a curve that no attributes name
	}
	return encoded
}
