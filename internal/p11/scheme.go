package p11

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	_ "crypto/md5" // the hashes that mechanisms name
	"crypto/rsa"
	_ "crypto/sha1"
	_ "crypto/sha256"
	_ "crypto/sha512"
	"errors"

	"github.com/miekg/pkcs11"

	"github.com/cardctl/cardctl/internal/pubkey"
)

// Scheme is a way to make a signature: a mechanism, and what a caller has to
// do around it.
type Scheme struct {
	Mechanism MechanismID
	// Hash is what the message is hashed with, 0 where it is signed as it is.
	Hash crypto.Hash
	// PSS is RSASSA-PSS, with a salt as long as the hash.
	PSS bool

	input input
	// exact refuses a signature of another length than PKCS#11 has.
	exact bool
}

// input is what C_Sign is given.
type input int

const (
	wholeMessage input = iota // the module hashes
	digest                    // the hash
	digestInfo                // the hash in a DigestInfo (RFC 8017, 9.2)
	paddedBlock               // the whole padded block (RFC 8017, 9.2)
)

// String is the mechanism, with the hash where the mechanism does not name it.
func (s Scheme) String() string {
	if s.Hash == 0 || s.input == wholeMessage {
		return s.Mechanism.String()
	}
	return s.Mechanism.String() + " with " + s.Hash.String()
}

// PadsItself reports whether the caller pads the block, not the module.
func (s Scheme) PadsItself() bool { return s.input == paddedBlock }

// Broken reports whether nobody should accept such a signature any more.
func (s Scheme) Broken() bool { return s.Hash == crypto.MD5 }

// rsaSchemes and ecdsaSchemes are the signature mechanisms for the key types;
// each mechanism that can be used with several hashes is here with one.
// CKM_RIPEMD160_RSA_PKCS and the like are not: Go cannot verify them.
var rsaSchemes = []Scheme{
	{Mechanism: pkcs11.CKM_RSA_PKCS, Hash: crypto.SHA256, input: digestInfo},
	{Mechanism: pkcs11.CKM_RSA_X_509, Hash: crypto.SHA256, input: paddedBlock},
	{Mechanism: pkcs11.CKM_MD5_RSA_PKCS, Hash: crypto.MD5, input: wholeMessage},
	{Mechanism: pkcs11.CKM_SHA1_RSA_PKCS, Hash: crypto.SHA1, input: wholeMessage},
	{Mechanism: pkcs11.CKM_SHA224_RSA_PKCS, Hash: crypto.SHA224, input: wholeMessage},
	{Mechanism: pkcs11.CKM_SHA256_RSA_PKCS, Hash: crypto.SHA256, input: wholeMessage},
	{Mechanism: pkcs11.CKM_SHA384_RSA_PKCS, Hash: crypto.SHA384, input: wholeMessage},
	{Mechanism: pkcs11.CKM_SHA512_RSA_PKCS, Hash: crypto.SHA512, input: wholeMessage},
	{Mechanism: pkcs11.CKM_RSA_PKCS_PSS, Hash: crypto.SHA256, PSS: true, input: digest},
	{Mechanism: pkcs11.CKM_SHA1_RSA_PKCS_PSS, Hash: crypto.SHA1, PSS: true, input: wholeMessage},
	{Mechanism: pkcs11.CKM_SHA224_RSA_PKCS_PSS, Hash: crypto.SHA224, PSS: true, input: wholeMessage},
	{Mechanism: pkcs11.CKM_SHA256_RSA_PKCS_PSS, Hash: crypto.SHA256, PSS: true, input: wholeMessage},
	{Mechanism: pkcs11.CKM_SHA384_RSA_PKCS_PSS, Hash: crypto.SHA384, PSS: true, input: wholeMessage},
	{Mechanism: pkcs11.CKM_SHA512_RSA_PKCS_PSS, Hash: crypto.SHA512, PSS: true, input: wholeMessage},
}

var ecdsaSchemes = []Scheme{
	{Mechanism: pkcs11.CKM_ECDSA_SHA1, Hash: crypto.SHA1, input: wholeMessage},
	{Mechanism: pkcs11.CKM_ECDSA_SHA224, Hash: crypto.SHA224, input: wholeMessage},
	{Mechanism: pkcs11.CKM_ECDSA_SHA256, Hash: crypto.SHA256, input: wholeMessage},
	{Mechanism: pkcs11.CKM_ECDSA_SHA384, Hash: crypto.SHA384, input: wholeMessage},
	{Mechanism: pkcs11.CKM_ECDSA_SHA512, Hash: crypto.SHA512, input: wholeMessage},
}

// schemesFor lists what the kind of key can be used with.
func schemesFor(public crypto.PublicKey) []Scheme {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return rsaSchemes
	case *ecdsa.PublicKey:
		natural := Scheme{Mechanism: pkcs11.CKM_ECDSA, Hash: naturalHash(key), input: digest}
		return append([]Scheme{natural}, ecdsaSchemes...)
	case ed25519.PublicKey:
		return []Scheme{{Mechanism: ckmEDDSA, input: wholeMessage}}
	case *pubkey.Other:
		switch {
		case !key.Curve.Verifies(): // nobody would know whether they are right
		case key.IsEC():
			natural := Scheme{Mechanism: pkcs11.CKM_ECDSA, Hash: hashFor(8 * key.Curve.Size()), input: digest}
			return append([]Scheme{natural}, ecdsaSchemes...)
		default:
			return []Scheme{{Mechanism: ckmEDDSA, input: wholeMessage}}
		}
	}
	return nil
}

// naturalHash is the hash as long as the curve, or the longest there is.
func naturalHash(key *ecdsa.PublicKey) crypto.Hash { return hashFor(key.Curve.Params().BitSize) }

func hashFor(bits int) crypto.Hash {
	switch {
	case bits <= 256:
		return crypto.SHA256
	case bits <= 384:
		return crypto.SHA384
	}
	return crypto.SHA512
}

// Schemes are the ways to sign that the module, the token and the key share,
// each mechanism once. The token may have one only to verify with: that shows when
// it is used.
func (k *Key) Schemes() []Scheme {
	if !k.sign {
		return nil
	}
	var shared []Scheme
	for _, s := range schemesFor(k.public) {
		if k.lists(s.Mechanism) {
			shared = append(shared, s)
		}
	}
	return shared
}

var errSignature = errors.New("the signature does not verify")

// Verify checks a signature over message with the public key.
func (s Scheme) Verify(public crypto.PublicKey, message, signature []byte) error {
	hashed := message
	if s.Hash != 0 {
		h := s.Hash.New()
		h.Write(message)
		hashed = h.Sum(nil)
	}
	if _, agrees := public.(*ecdh.PublicKey); agrees {
		return errors.New("a key of this kind cannot sign")
	}
	opts := crypto.SignerOpts(s.Hash)
	if s.PSS {
		opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: s.Hash}
	}
	if !pubkey.Verify(public, hashed, signature, opts) {
		return errSignature
	}
	return nil
}
