package chain

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	_ "crypto/sha1" // the digests that signatures name
	_ "crypto/sha256"
	_ "crypto/sha3"
	_ "crypto/sha512"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/curve"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// ErrWrong is a signature that was checked and is not one of this key.
var ErrWrong = errors.New("the signature does not verify")

// Unchecked is a signature that cannot be checked here: nothing is known against it.
type Unchecked struct {
	// What names the curve, the algorithm, or its OID.
	What string
}

func (u Unchecked) Error() string { return "cannot be checked here: " + u.What }

// Weak is a signature that nobody should accept any more.
type Weak struct {
	// What is SHA-1, MD5 or a short key.
	What string
}

func (w Weak) Error() string { return "signed with " + w.What + ", which is not secure" }

// scheme is a kind of signature.
type scheme struct {
	kind kind
	hash crypto.Hash
	name string // of what is weak or unknown here
}

type kind int

const (
	pkcs1 kind = iota + 1
	pss
	ofECDSA
	edwards25519
	edwards448
)

// schemes are the signature algorithms by OID: RFC 4055, RFC 5758, RFC 8410, RFC 8692.
func schemes() map[string]scheme {
	return map[string]scheme{
		"1.2.840.113549.1.1.2":    {pkcs1, 0, "MD2"},
		"1.2.840.113549.1.1.4":    {pkcs1, 0, "MD5"},
		"1.2.840.113549.1.1.5":    {pkcs1, crypto.SHA1, ""},
		"1.3.14.3.2.29":           {pkcs1, crypto.SHA1, ""},
		"1.2.840.113549.1.1.14":   {pkcs1, crypto.SHA224, ""},
		"1.2.840.113549.1.1.11":   {pkcs1, crypto.SHA256, ""},
		"1.2.840.113549.1.1.12":   {pkcs1, crypto.SHA384, ""},
		"1.2.840.113549.1.1.13":   {pkcs1, crypto.SHA512, ""},
		"1.2.840.113549.1.1.15":   {pkcs1, crypto.SHA512_224, ""},
		"1.2.840.113549.1.1.16":   {pkcs1, crypto.SHA512_256, ""},
		"1.2.840.113549.1.1.10":   {pss, 0, ""},
		"1.2.840.10045.4.1":       {ofECDSA, crypto.SHA1, ""},
		"1.2.840.10045.4.3.1":     {ofECDSA, crypto.SHA224, ""},
		"1.2.840.10045.4.3.2":     {ofECDSA, crypto.SHA256, ""},
		"1.2.840.10045.4.3.3":     {ofECDSA, crypto.SHA384, ""},
		"1.2.840.10045.4.3.4":     {ofECDSA, crypto.SHA512, ""},
		"2.16.840.1.101.3.4.3.9":  {ofECDSA, crypto.SHA3_224, ""},
		"2.16.840.1.101.3.4.3.10": {ofECDSA, crypto.SHA3_256, ""},
		"2.16.840.1.101.3.4.3.11": {ofECDSA, crypto.SHA3_384, ""},
		"2.16.840.1.101.3.4.3.12": {ofECDSA, crypto.SHA3_512, ""},
		"1.3.101.112":             {edwards25519, 0, ""},
		"1.3.101.113":             {edwards448, 0, ""},
	}
}

// CheckSignature checks that the key of parent signed c: nil, ErrWrong, Unchecked or
// Weak. A Weak signature by SHA-1 verifies; of older digests that is not known.
func CheckSignature(c, parent *cert.Certificate) error {
	return CheckMessage(parent.PublicKey, c.SignatureAlgorithm, c.SignatureParameters, c.RawTBSCertificate, c.Signature)
}

// CheckMessage is CheckSignature for a message that a key signed. The algorithm is one of
// signatures, with its parameters in DER.
func CheckMessage(public crypto.PublicKey, algorithm asn1.ObjectIdentifier, parameters, message, signature []byte) error {
	s, known := schemes()[algorithm.String()]
	var salt int
	switch {
	case !known:
		return Unchecked{algorithmName(algorithm, public)}
	case s.name != "":
		return Weak{s.name}
	case s.kind == pss:
		var err error
		if s.hash, salt, err = parsePSS(parameters); err != nil {
			return err
		}
	}
	if err := s.verify(public, salt, message, signature); err != nil {
		return err
	}
	if s.hash == crypto.SHA1 {
		return Weak{"SHA-1"}
	}
	return nil
}

// DigestOf is the digest that the signature of a certificate names, 0 if it names none
// that is known.
func DigestOf(c *cert.Certificate) crypto.Hash {
	s := schemes()[c.SignatureAlgorithm.String()]
	if s.kind == pss {
		s.hash, _, _ = parsePSS(c.SignatureParameters)
	}
	return s.hash
}

// algorithmName names a signature by what it is made with.
func algorithmName(oid asn1.ObjectIdentifier, public crypto.PublicKey) string {
	if other, ok := public.(*pubkey.Other); ok {
		return other.Name()
	}
	return "the signature algorithm " + oid.String()
}

// shortest is the length in bits of the shortest RSA key that the standard library
// verifies with.
const shortest = 1024

func (s scheme) verify(public crypto.PublicKey, salt int, message, signature []byte) error {
	digest := message
	if s.hash != 0 {
		h := s.hash.New()
		h.Write(message)
		digest = h.Sum(nil)
	}
	ok := false
	switch key := public.(type) {
	case *rsa.PublicKey:
		return s.verifyRSA(key, salt, digest, signature)
	case *ecdsa.PublicKey:
		ok = s.kind == ofECDSA && ecdsa.VerifyASN1(key, digest, signature)
	case ed25519.PublicKey:
		ok = s.kind == edwards25519 && ed25519.Verify(key, message, signature)
	case *pubkey.Other:
		return s.verifyOther(key, salt, digest, signature)
	}
	if !ok {
		return ErrWrong
	}
	return nil
}

func (s scheme) verifyRSA(key *rsa.PublicKey, salt int, digest, signature []byte) error {
	if bits := key.N.BitLen(); bits < shortest {
		return Weak{fmt.Sprintf("an RSA key of %d bits", bits)}
	}
	ok := false
	switch s.kind {
	case pkcs1:
		ok = rsa.VerifyPKCS1v15(key, s.hash, digest, signature) == nil
	case pss:
		ok = rsa.VerifyPSS(key, s.hash, digest, signature, &rsa.PSSOptions{SaltLength: salt, Hash: s.hash}) == nil
	}
	if !ok {
		return ErrWrong
	}
	return nil
}

func (s scheme) verifyOther(key *pubkey.Other, salt int, digest, signature []byte) error {
	switch {
	case key.RSA != nil && s.kind == pss:
		if hash, least, err := parsePSS(key.Parameters); key.Parameters != nil && (err != nil || hash != s.hash || salt < least) {
			return ErrWrong // RFC 4055, 3.3: what the key is restricted to
		}
		return s.verifyRSA(key.RSA, salt, digest, signature)
	case key.RSA != nil:
		return ErrWrong // a key for PSS alone
	case !key.Curve.Verifies():
		return Unchecked{key.Name()}
	}
	if key.Curve.OID.Equal(curve.OIDEd448) != (s.kind == edwards448) || s.kind != edwards448 && s.kind != ofECDSA {
		return ErrWrong
	}
	if !key.Curve.Verify(key.Key, digest, signature) {
		return ErrWrong
	}
	return nil
}

// hashOf finds a digest of RSASSA-PSS by its OID: those of RFC 4055, and two of SHA-3.
func hashOf(oid asn1.ObjectIdentifier) crypto.Hash {
	switch oid.String() {
	case "2.16.840.1.101.3.4.2.8":
		return crypto.SHA3_256
	case "2.16.840.1.101.3.4.2.9":
		return crypto.SHA3_384
	}
	return pubkey.DigestOf(oid)
}

// parsePSS reads RSASSA-PSS-params, RFC 4055, 3.1. The salt is in bytes.
func parsePSS(der []byte) (hash crypto.Hash, salt int, err error) {
	const most, standard = 4, 20
	unknown := Unchecked{"RSASSA-PSS with these parameters"}
	e, _, err := ber.Read(der)
	if err != nil || !e.Is(ber.Sequence) {
		return 0, 0, unknown
	}
	list, err := e.Elements(most)
	if err != nil {
		return 0, 0, unknown
	}
	hash, salt = crypto.SHA1, standard
	mask := crypto.SHA1
	for _, part := range list {
		inner, err := part.Elements(1)
		if err != nil || len(inner) != 1 {
			return 0, 0, unknown
		}
		switch {
		case part.IsContext(0):
			hash = digestOf(inner[0])
		case part.IsContext(1):
			if generator, err := inner[0].Elements(2); err == nil && len(generator) == 2 {
				mask = digestOf(generator[1])
			}
		case part.IsContext(2):
			salt = inner[0].SmallInt()
		}
	}
	if hash == 0 || mask != hash || salt < 0 {
		return 0, 0, unknown
	}
	return hash, salt, nil
}

func digestOf(algorithm ber.Element) crypto.Hash {
	oid, _, err := algorithm.Algorithm()
	if err != nil {
		return 0
	}
	return hashOf(oid)
}
