package smoke

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"fmt"

	"github.com/cardctl/cardctl/internal/problem"
)

// checkDecryption decrypts what was encrypted to the public key, in every way
// that module, token and key share.
func (r *run) checkDecryption(ctx context.Context) {
	if public, ok := r.verifier().(*rsa.PublicKey); ok {
		if r.key.CanDecrypt(ctx, false) {
			r.check(ctx, "decrypt CKM_RSA_PKCS", func() (string, error) {
				return r.decrypt(ctx, nil, func(secret []byte) ([]byte, error) {
					//lint:ignore SA1019 cards know no other padding
					return rsa.EncryptPKCS1v15(rand.Reader, public, secret)
				})
			})
		}
		if r.key.CanDecrypt(ctx, true) {
			// SHA-1 is the default of OAEP, and the only one of many modules.
			r.check(ctx, "decrypt CKM_RSA_PKCS_OAEP", func() (string, error) {
				return r.decrypt(ctx, &rsa.OAEPOptions{Hash: crypto.SHA1}, func(secret []byte) ([]byte, error) {
					return rsa.EncryptOAEP(crypto.SHA1.New(), rand.Reader, public, secret, nil)
				})
			})
		}
	}
	if r.key.CanAgree(ctx) {
		r.check(ctx, "derive CKM_ECDH1_DERIVE", func() (string, error) { return r.agree(ctx) })
	}
}

func (r *run) decrypt(ctx context.Context, opts crypto.DecrypterOpts, encrypt func(secret []byte) ([]byte, error)) (string, error) {
	secret := []byte(rand.Text())
	ciphertext, err := encrypt(secret)
	if err != nil {
		return "", problem.Wrap(problem.Failed, err, "encrypt to the public key")
	}
	plain, err := r.key.Signer(ctx).Decrypt(rand.Reader, ciphertext, opts)
	if err != nil {
		return "", r.unusable(ctx, err)
	}
	if !bytes.Equal(plain, secret) {
		return "", problem.New(problem.Mismatch, "the decrypted text is not the one that was encrypted").
			Because("The private key does not belong to %s, or the module decrypts incorrectly.", r.verifiedWith())
	}
	r.proved = true
	return fmt.Sprintf("%d bytes, encrypted to %s", len(plain), r.verifiedWith()), nil
}

func (r *run) agree(ctx context.Context) (string, error) {
	var public *ecdh.PublicKey
	switch key := r.verifier().(type) {
	case *ecdh.PublicKey:
		public = key
	case *ecdsa.PublicKey:
		converted, err := key.ECDH()
		if err != nil {
			return "", problem.Wrap(problem.Mismatch, err, "the public key")
		}
		public = converted
	}
	peer, err := public.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return "", problem.Wrap(problem.Failed, err, "generate a key to agree with")
	}
	want, err := peer.ECDH(public)
	if err != nil {
		return "", problem.Wrap(problem.Failed, err, "agree on a secret")
	}
	got, err := r.key.ECDH(ctx, peer.PublicKey())
	if err != nil {
		return "", r.unusable(ctx, err)
	}
	if !bytes.Equal(got, want) {
		return "", problem.New(problem.Mismatch, "the card and its peer do not agree on a secret").
			Because("The private key does not belong to %s, or the module derives incorrectly.", r.verifiedWith())
	}
	r.proved = true
	return fmt.Sprintf("%d bytes, agreed on with a temporary key", len(got)), nil
}

// unusable judges a decryption that the module announces and does not make. A
// key that signs is used for that, and the decryption is not missed.
func (r *run) unusable(ctx context.Context, err error) error {
	if r.proved && ctx.Err() == nil && (problem.Is(err, problem.NotSupported) || problem.Is(err, problem.Failed)) {
		return skip("the module offers it, but does not do it with this key: %v", err)
	}
	return err
}
