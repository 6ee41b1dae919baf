package smoke

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/tlskey"
)

// made is a signature that verified.
type made struct {
	scheme    p11.Scheme
	message   []byte
	signature []byte
}

// checkSignatures signs with every mechanism that module, token and key share.
func (r *run) checkSignatures(ctx context.Context) {
	schemes := r.key.Schemes()
	if len(schemes) == 0 {
		r.check(ctx, "sign", func() (string, error) { return "", r.noSignatures(ctx) })
		return
	}
	var signatures []made
	for _, scheme := range schemes {
		r.check(ctx, "sign "+scheme.Mechanism.String(), func() (string, error) {
			if scheme.Broken() {
				return "", skip("%s is broken, and nobody should accept its signatures", scheme.Hash)
			}
			if r.o.Holder.WholeDigests && shorter(scheme.Hash, r.key.Public()) {
				r.refused[scheme.Hash] = true
				return "", skip("this card signs only digests as long as the curve")
			}
			s, err := r.sign(ctx, scheme)
			if err != nil {
				return "", err
			}
			signatures = append(signatures, s)
			return fmt.Sprintf("%s, %d bytes, verified with %s", scheme, len(s.signature), r.verifiedWith()), nil
		})
	}
	if len(signatures) > 0 {
		r.proved = true
		r.check(ctx, "changed message", func() (string, error) { return changed(r.verifier(), signatures) })
	}
}

// noSignatures says why there is no mechanism to sign with.
func (r *run) noSignatures(ctx context.Context) error {
	if !r.key.MaySign() {
		return skip("the key is not for signatures (CKA_SIGN is false)")
	}
	if r.key.CanAgree(ctx) || r.key.CanDecrypt(ctx, false) || r.key.CanDecrypt(ctx, true) {
		return skip("the module, the token and the key have no signature mechanism in common")
	}
	if other, ok := r.key.Public().(*pubkey.Other); ok && !other.Curve.Verifies() {
		return problem.New(problem.NotSupported, "signatures on %s cannot be checked here", other.Name()).
			Because("No signature was made, because nothing would prove that it is correct.").
			Advise(r.listTokens())
	}
	return problem.New(problem.NotSupported, "the module, the token and the key have no signature mechanism in common").
		Because("The module does not support keys of this kind, or not on this card. Most modules support p256 keys.").
		Advise(r.listTokens())
}

// sign makes one signature over a message of its own, and verifies it.
func (r *run) sign(ctx context.Context, scheme p11.Scheme) (made, error) {
	message := []byte("signed by cardctl " + rand.Text())
	signature, err := r.key.Sign(ctx, scheme, message)
	switch {
	case problem.Is(err, problem.NotSupported):
		return made{}, skip("the module offers it, but does not do it with this key: %v", err)
	case problem.Is(err, problem.Failed) && r.unusual(scheme):
		if !scheme.PadsItself() {
			r.refused[scheme.Hash] = true
		}
		return made{}, skip("this key does not sign with it, and programs can do without: %v", err)
	case err != nil:
		return made{}, err
	}
	if err := scheme.Verify(r.verifier(), message, signature); err != nil {
		return made{}, problem.New(problem.Mismatch, "the signature with %s is wrong", scheme).
			Because("It does not verify with %s.", r.verifiedWith()).
			Advise(advice.Do(advice.ShowCard))
	}
	return made{scheme, message, signature}, nil
}

// shorter reports whether a digest has fewer bytes than the curve of a key.
func shorter(hash crypto.Hash, public crypto.PublicKey) bool {
	key, curve := public.(*ecdsa.PublicKey)
	return curve && hash != 0 && hash.Size() < key.Params().BitSize/8
}

// unusual reports whether programs do without a scheme, and cards are known to refuse
// it: an RSA signature over SHA-1 or SHA-224, or of a block that the program padded,
// and a digest of another length than the curve. TLS 1.3 knows which one has the same.
func (r *run) unusual(s p11.Scheme) bool {
	switch public := r.key.Public().(type) {
	case *rsa.PublicKey:
		return s.Hash == crypto.SHA1 || s.Hash == crypto.SHA224 || s.PadsItself()
	case *ecdsa.PublicKey:
		usual := tlskey.Schemes(tls.VersionTLS13, public)
		return len(usual) == 1 && usual[0].Opts.HashFunc() != s.Hash
	case *pubkey.Other:
		return public.IsEC() && s.Hash.Size() != public.Curve.Size()
	}
	return false
}

// verifier is the public key that others have: the certificate's, where there
// is one.
func (r *run) verifier() crypto.PublicKey {
	switch {
	case r.certificate != nil:
		return r.certificate.PublicKey
	case r.public() != nil:
		return r.public()
	}
	return r.key.Public()
}

func (r *run) verifiedWith() string {
	if r.certificate != nil {
		return "the certificate's key"
	}
	return "the public key"
}

// changed makes sure that a signature that verifies means something: with one
// bit of the message changed, none of them may.
func changed(public crypto.PublicKey, signatures []made) (string, error) {
	var names []string
	for _, s := range signatures {
		other := append([]byte(nil), s.message...)
		other[0] ^= 1
		if s.scheme.Verify(public, other, s.signature) == nil {
			return "", problem.New(problem.Mismatch, "a signature with %s also verifies for another message", s.scheme)
		}
		names = append(names, s.scheme.Mechanism.String())
	}
	return "refused for " + strings.Join(names, ", "), nil
}
