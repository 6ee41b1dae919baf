package p11

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/miekg/pkcs11"
)

// NewKey is what a key that is made on a token, or brought to it, shall be.
// Its private half is private, sensitive and not extractable; what it is not
// for is said too, for the defaults of modules differ.
type NewKey struct {
	// ID is nil for KeyID of the public key.
	ID    []byte
	Label string

	Sign, Decrypt, Derive bool
}

// kind is a kind of key that tokens can make.
type kind struct {
	name     string // as users name it
	keyType  uint
	generate MechanismID
	bits     uint
	curve    []byte // CKA_EC_PARAMS
}

// kinds are those of the command line's contract that tokens make.
func kinds() []kind {
	curve := func(value any) []byte {
		der, err := asn1.Marshal(value)
		if err != nil {
			panic(err) // of a constant
		}
		return der
	}
	return []kind{
		{"rsa2048", pkcs11.CKK_RSA, pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, 2048, nil},
		{"rsa3072", pkcs11.CKK_RSA, pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, 3072, nil},
		{"rsa4096", pkcs11.CKK_RSA, pkcs11.CKM_RSA_PKCS_KEY_PAIR_GEN, 4096, nil},
		{"p256", pkcs11.CKK_EC, pkcs11.CKM_EC_KEY_PAIR_GEN, 256, curve(oidP256)},
		{"p384", pkcs11.CKK_EC, pkcs11.CKM_EC_KEY_PAIR_GEN, 384, curve(oidP384)},
		{"p521", pkcs11.CKK_EC, pkcs11.CKM_EC_KEY_PAIR_GEN, 521, curve(oidP521)},
		// The name and not the identifier, for that is what modules before
		// PKCS#11 3.1 know.
		{"ed25519", ckkECEdwards, ckmECEdwardsKeyPairGen, 255, curve("edwards25519")},
		{"x25519", ckkECMontgomery, ckmECMontgomeryKeyPairGen, 255, curve("curve25519")},
	}
}

func kindNamed(name string) (kind, bool) {
	all := kinds()
	i := slices.IndexFunc(all, func(k kind) bool { return k.name == name })
	if i < 0 {
		return kind{}, false
	}
	return all[i], true
}

// madeBy reports whether a mechanism can make such keys.
func (k kind) madeBy(m Mechanism) bool {
	if m.ID != k.generate || m.flags&pkcs11.CKF_GENERATE_KEY_PAIR == 0 {
		return false
	}
	// Some count the length of a key in bytes, and some say nothing.
	const shortest, longestInBytes = 512, 1024
	most := m.MaxKeySize
	if m.MinKeySize < shortest && most <= longestInBytes {
		most *= 8
	}
	return k.keyType != pkcs11.CKK_RSA && m.MinKeySize <= 521 || m.MaxKeySize == 0 || k.bits >= m.MinKeySize && k.bits <= most
}

// cannotMake says which keys the token can make.
func (s *Session) cannotMake(ctx context.Context, algorithm string) error {
	var can []string
	for _, k := range kinds() {
		if makes, err := s.Makes(ctx, k.name); err != nil {
			return err
		} else if makes {
			can = append(can, k.name)
		}
	}
	if len(can) == 0 {
		can = []string{"no keys"}
	}
	return problem.New(problem.NotSupported, "the token %q cannot generate %s keys", s.token.Label, algorithm).
		Because("The token can generate %s.", strings.Join(can, ", ")).
		Advise(advice.Repeat().Without(advice.Algorithm))
}

// usage is what the objects of a key are for, what they are not included.
func (n NewKey) usage() (public, private []objectAttribute) {
	return []objectAttribute{
			{pkcs11.CKA_VERIFY, n.Sign}, {pkcs11.CKA_ENCRYPT, n.Decrypt},
			{pkcs11.CKA_WRAP, false}, {pkcs11.CKA_VERIFY_RECOVER, false},
		}, []objectAttribute{
			{pkcs11.CKA_SIGN, n.Sign}, {pkcs11.CKA_DECRYPT, n.Decrypt}, {pkcs11.CKA_DERIVE, n.Derive},
			{pkcs11.CKA_UNWRAP, false}, {pkcs11.CKA_SIGN_RECOVER, false},
		}
}

// templates are the attributes that every new key has, without its value.
func (n NewKey) templates(id []byte) (public, private []objectAttribute) {
	publicUsage, privateUsage := n.usage()
	public = append([]objectAttribute{
		{pkcs11.CKA_TOKEN, true}, {pkcs11.CKA_PRIVATE, false}, {pkcs11.CKA_ID, id},
	}, publicUsage...)
	private = append([]objectAttribute{
		{pkcs11.CKA_TOKEN, true}, {pkcs11.CKA_PRIVATE, true}, {pkcs11.CKA_SENSITIVE, true},
		{pkcs11.CKA_EXTRACTABLE, false}, {pkcs11.CKA_ID, id},
	}, privateUsage...)
	if n.Label != "" {
		public = append(public, objectAttribute{pkcs11.CKA_LABEL, []byte(n.Label)})
		private = append(private, objectAttribute{pkcs11.CKA_LABEL, []byte(n.Label)})
	}
	return public, private
}

// publicValue are the attributes that make up a public key.
func publicValue(public crypto.PublicKey) ([]objectAttribute, error) {
	switch key := public.(type) {
	case *rsa.PublicKey:
		return []objectAttribute{
			{pkcs11.CKA_CLASS, uint(pkcs11.CKO_PUBLIC_KEY)}, {pkcs11.CKA_KEY_TYPE, uint(pkcs11.CKK_RSA)},
			{pkcs11.CKA_MODULUS, key.N.Bytes()}, {pkcs11.CKA_PUBLIC_EXPONENT, big.NewInt(int64(key.E)).Bytes()},
		}, nil
	case *ecdsa.PublicKey:
		point, err := key.Bytes()
		if err != nil {
			return nil, err
		}
		return ecPublicValue(pkcs11.CKK_EC, curveOf(key.Curve), point)
	case ed25519.PublicKey:
		k, _ := kindNamed("ed25519")
		return ecPublicValue(ckkECEdwards, k.curve, key)
	case *ecdh.PublicKey:
		if k, _ := kindNamed("x25519"); key.Curve() == ecdh.X25519() {
			return ecPublicValue(ckkECMontgomery, k.curve, key.Bytes())
		}
	}
	return nil, fmt.Errorf("a public key of the type %T", public)
}

// ecPublicValue wraps the point in an OCTET STRING (PKCS#11 2.40 mechanisms,
// 2.3.3).
func ecPublicValue(keyType uint, curve, point []byte) ([]objectAttribute, error) {
	wrapped, err := asn1.Marshal(point)
	if err != nil || curve == nil {
		return nil, errors.New("a curve that is not supported")
	}
	return []objectAttribute{
		{pkcs11.CKA_CLASS, uint(pkcs11.CKO_PUBLIC_KEY)}, {pkcs11.CKA_KEY_TYPE, keyType},
		{pkcs11.CKA_EC_PARAMS, curve}, {pkcs11.CKA_EC_POINT, wrapped},
	}, nil
}

func curveOf(curve elliptic.Curve) []byte {
	for _, k := range kinds() {
		if k.keyType == pkcs11.CKK_EC && int(k.bits) == curve.Params().BitSize {
			return k.curve
		}
	}
	return nil
}

// privateValue are the attributes that make up a private key. The caller wipes
// them.
func privateValue(private crypto.PrivateKey) ([]objectAttribute, error) {
	class := objectAttribute{pkcs11.CKA_CLASS, uint(pkcs11.CKO_PRIVATE_KEY)}
	switch key := private.(type) {
	case *rsa.PrivateKey:
		if len(key.Primes) != 2 {
			return nil, fmt.Errorf("an RSA key with %d primes", len(key.Primes))
		}
		key.Precompute()
		return []objectAttribute{
			class, {pkcs11.CKA_KEY_TYPE, uint(pkcs11.CKK_RSA)},
			{pkcs11.CKA_MODULUS, key.N.Bytes()}, {pkcs11.CKA_PUBLIC_EXPONENT, big.NewInt(int64(key.E)).Bytes()},
			{pkcs11.CKA_PRIVATE_EXPONENT, key.D.Bytes()},
			{pkcs11.CKA_PRIME_1, key.Primes[0].Bytes()}, {pkcs11.CKA_PRIME_2, key.Primes[1].Bytes()},
			{pkcs11.CKA_EXPONENT_1, key.Precomputed.Dp.Bytes()}, {pkcs11.CKA_EXPONENT_2, key.Precomputed.Dq.Bytes()},
			{pkcs11.CKA_COEFFICIENT, key.Precomputed.Qinv.Bytes()},
		}, nil
	case *ecdsa.PrivateKey:
		scalar, err := key.Bytes()
		curve := curveOf(key.Curve)
		if err != nil || curve == nil {
			return nil, errors.New("a curve that is not supported")
		}
		return []objectAttribute{
			class, {pkcs11.CKA_KEY_TYPE, uint(pkcs11.CKK_EC)}, {pkcs11.CKA_EC_PARAMS, curve}, {pkcs11.CKA_VALUE, scalar},
		}, nil
	case ed25519.PrivateKey:
		k, _ := kindNamed("ed25519")
		return []objectAttribute{
			class, {pkcs11.CKA_KEY_TYPE, uint(ckkECEdwards)}, {pkcs11.CKA_EC_PARAMS, k.curve}, {pkcs11.CKA_VALUE, key.Seed()},
		}, nil
	case *ecdh.PrivateKey:
		if k, _ := kindNamed("x25519"); key.Curve() == ecdh.X25519() {
			return []objectAttribute{
				class, {pkcs11.CKA_KEY_TYPE, uint(ckkECMontgomery)}, {pkcs11.CKA_EC_PARAMS, k.curve}, {pkcs11.CKA_VALUE, key.Bytes()},
			}, nil
		}
	}
	return nil, fmt.Errorf("a private key of the type %T", private)
}

// wipeValues overwrites the values of a private key.
func wipeValues(template []objectAttribute) {
	for _, a := range template {
		switch value, isBytes := a.value.([]byte); a.kind {
		case pkcs11.CKA_PRIVATE_EXPONENT, pkcs11.CKA_PRIME_1, pkcs11.CKA_PRIME_2, pkcs11.CKA_EXPONENT_1,
			pkcs11.CKA_EXPONENT_2, pkcs11.CKA_COEFFICIENT, pkcs11.CKA_VALUE:
			if isBytes {
				secret.Wipe(value)
			}
		}
	}
}
