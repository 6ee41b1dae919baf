package key

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"io"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
)

// Signer returns a crypto.Signer over the key, which is a crypto.MessageSigner,
// for tokens that hash themselves, and a crypto.Decrypter too.
func (k *tokenKey) Signer(ctx context.Context) (crypto.Signer, error) {
	public, err := k.Public(ctx)
	if err != nil {
		return nil, err
	}
	if _, agreement := public.(*ecdh.PublicKey); agreement {
		return nil, problem.New(problem.NotSupported, "%s: an X25519 key cannot sign", k.ref).
			Because("It is for key agreement only.")
	}
	return &tokenSigner{ctx: ctx, key: k, public: public}, nil
}

// tokenSigner carries the context of the command that made it, because
// crypto.Signer has no place for one. It logs in at its first use.
type tokenSigner struct {
	ctx    context.Context
	key    *tokenKey
	public crypto.PublicKey
	signer *p11.Signer
}

var (
	_ crypto.MessageSigner = (*tokenSigner)(nil)
	_ crypto.Decrypter     = (*tokenSigner)(nil)
)

func (s *tokenSigner) Public() crypto.PublicKey { return s.public }

// Sign makes an RSA PKCS#1 v1.5, RSA-PSS, ECDSA (ASN.1) or Ed25519 signature.
func (s *tokenSigner) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.use("signing with ", func() ([]byte, error) { return s.signer.Sign(r, digest, opts) })
}

// SignMessage signs a message as Sign signs its digest.
func (s *tokenSigner) SignMessage(r io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.use("signing with ", func() ([]byte, error) { return s.signer.SignMessage(r, message, opts) })
}

// Decrypt decrypts RSAES-PKCS1-v1_5 or RSAES-OAEP.
func (s *tokenSigner) Decrypt(r io.Reader, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	return s.use("decrypting with ", func() ([]byte, error) { return s.signer.Decrypt(r, ciphertext, opts) })
}

func (s *tokenSigner) use(what string, with func() ([]byte, error)) ([]byte, error) {
	k := s.key
	if s.signer == nil {
		if err := s.unlock(); err != nil {
			return nil, err
		}
	}
	result, err := with()
	return result, Explain(k.session.Explain(s.ctx, err), what+k.ref.String(), "")
}

// unlock logs in, and looks for the private half of what was read before.
func (s *tokenSigner) unlock() error {
	k := s.key
	stored, err := k.used(s.ctx)
	if err != nil {
		return err
	}
	if err := k.login(s.ctx); err != nil {
		return err
	}
	private, err := k.session.KeyOf(s.ctx, *stored)
	if err != nil {
		return Explain(err, k.ref.String(), "")
	}
	s.signer = private.Signer(s.ctx)
	return nil
}
