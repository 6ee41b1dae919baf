package p11

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"io"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/miekg/pkcs11"
)

// Signer is a Key as crypto.Signer, crypto.MessageSigner and crypto.Decrypter.
// A token that only signs what it hashed itself can do SignMessage, which
// crypto/tls and crypto/x509 prefer, and not Sign.
type Signer struct {
	key *Key
	ctx context.Context
}

// Signer returns the key for what wants the interfaces of package crypto. Every
// use of it is bounded by ctx.
func (k *Key) Signer(ctx context.Context) *Signer { return &Signer{key: k, ctx: ctx} }

var (
	_ crypto.MessageSigner = (*Signer)(nil)
	_ crypto.Decrypter     = (*Signer)(nil)
)

// Public is the public half of the key.
func (s *Signer) Public() crypto.PublicKey { return s.key.public }

// Sign signs a digest: RSASSA-PKCS1-v1_5, RSASSA-PSS with *rsa.PSSOptions, or
// ECDSA. For Ed25519 the digest is the message. What token and key cannot do is
// a problem.NotSupported. The randomness is the token's.
func (s *Signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	scheme, err := s.key.choose(s.ctx, opts, false)
	if err != nil {
		return nil, err
	}
	if scheme.input == wholeMessage { // Ed25519
		return s.key.signInput(s.ctx, scheme, digest, nil)
	}
	return s.key.signDigest(s.ctx, scheme, digest, s.key.saltLength(opts))
}

// SignMessage signs a message as Sign signs its digest.
func (s *Signer) SignMessage(_ io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	scheme, err := s.key.choose(s.ctx, opts, true)
	if err != nil {
		return nil, err
	}
	return s.key.signMessage(s.ctx, scheme, message, s.key.saltLength(opts))
}

// Supports reports whether SignMessage can do it.
func (k *Key) Supports(ctx context.Context, opts crypto.SignerOpts) bool {
	_, err := k.choose(ctx, opts, true)
	return err == nil
}

// SupportsDigest reports whether Sign can do it, as programs that hash themselves do.
func (k *Key) SupportsDigest(ctx context.Context, opts crypto.SignerOpts) bool {
	_, err := k.choose(ctx, opts, false)
	return err == nil
}

// choose picks the scheme for the options: the one in which the module is given
// a hash, else, where there is a message, the one in which it hashes itself.
func (k *Key) choose(ctx context.Context, opts crypto.SignerOpts, haveMessage bool) (Scheme, error) {
	hash := opts.HashFunc()
	_, pss := opts.(*rsa.PSSOptions)
	raw := Scheme{Hash: hash, PSS: pss}
	switch k.public.(type) {
	case *rsa.PublicKey:
		if _, known := hashes[hash]; !known {
			return Scheme{}, k.cannot(ctx, hash, pss)
		}
		raw.Mechanism, raw.input = pkcs11.CKM_RSA_PKCS, digestInfo
		if pss {
			raw.Mechanism, raw.input = pkcs11.CKM_RSA_PKCS_PSS, digest
		}
	case *ecdsa.PublicKey:
		if hash == 0 {
			return Scheme{}, k.cannot(ctx, hash, pss)
		}
		raw.Mechanism, raw.input = pkcs11.CKM_ECDSA, digest
	case ed25519.PublicKey:
		if o, ok := opts.(*ed25519.Options); hash != 0 || ok && o.Context != "" {
			return Scheme{}, k.cannot(ctx, hash, pss)
		}
		raw.Mechanism, raw.input = ckmEDDSA, wholeMessage
	case *pubkey.Other:
		raw.Mechanism = unknownMechanism
		if schemes := schemesFor(k.public); len(schemes) > 0 && (schemes[0].input == wholeMessage) == (hash == 0) {
			raw.Mechanism, raw.input = schemes[0].Mechanism, schemes[0].input
		}
	default:
		return Scheme{}, k.cannot(ctx, hash, pss)
	}
	if k.sign && k.has(ctx, raw.Mechanism, pkcs11.CKF_SIGN) {
		return raw, nil
	}
	if pss && k.sign && k.has(ctx, pkcs11.CKM_RSA_X_509, pkcs11.CKF_SIGN) {
		raw.Mechanism, raw.input = pkcs11.CKM_RSA_X_509, paddedBlock
		return raw, nil
	}
	if haveMessage {
		for _, s := range k.Schemes() {
			if s.input == wholeMessage && s.Hash == hash && s.PSS == pss && k.has(ctx, s.Mechanism, pkcs11.CKF_SIGN) {
				return s, nil
			}
		}
	}
	return Scheme{}, k.cannot(ctx, hash, pss)
}

// unknownMechanism is one that no token has.
const unknownMechanism = ^MechanismID(0)

func (k *Key) cannot(ctx context.Context, hash crypto.Hash, pss bool) error {
	what := "sign"
	if hash != 0 {
		what += " with " + hash.String()
	}
	if pss {
		what += " and RSA-PSS"
	}
	var can []string
	for _, s := range slices.DeleteFunc(k.Schemes(), func(s Scheme) bool { return !k.has(ctx, s.Mechanism, pkcs11.CKF_SIGN) }) {
		can = append(can, s.Mechanism.String())
	}
	if len(can) == 0 {
		can = []string{"no signature mechanism"}
	}
	return problem.New(problem.NotSupported, "%s: this key cannot %s", k.session.module.name(), what).
		Because("The module, the token and the key have %s in common.", strings.Join(can, ", ")).
		Advise(k.session.module.list())
}

// saltLength is what rsa.PSSOptions ask for, in bytes.
func (k *Key) saltLength(opts crypto.SignerOpts) func() int {
	return func() int {
		o, isPSS := opts.(*rsa.PSSOptions)
		key, isRSA := k.public.(*rsa.PublicKey)
		hash := opts.HashFunc()
		switch {
		case !isPSS || !isRSA || o.SaltLength == rsa.PSSSaltLengthEqualsHash:
			return hash.Size()
		case o.SaltLength == rsa.PSSSaltLengthAuto: // the longest there is room for
			return max(0, (key.N.BitLen()-1+7)/8-2-hash.Size())
		}
		return o.SaltLength
	}
}
