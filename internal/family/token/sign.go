package token

import (
	"context"
	"crypto"
	"io"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Signer returns a crypto.Signer over the key, which is a crypto.MessageSigner,
// for tokens that hash themselves, and a crypto.Decrypter too.
func (k *place) Signer(ctx context.Context) (crypto.Signer, error) {
	public, err := k.Public(ctx)
	if err != nil {
		return nil, err
	}
	if err := key.Signs(k.ref, public); err != nil {
		return nil, err
	}
	return &signer{ctx: ctx, key: k, public: public}, nil
}

// signer carries the context of the command that made it, because
// crypto.Signer has no place for one. It logs in at its first use.
type signer struct {
	ctx     context.Context
	key     *place
	public  crypto.PublicKey
	private *p11.Key
	signer  *p11.Signer
}

var (
	_ crypto.MessageSigner = (*signer)(nil)
	_ crypto.Decrypter     = (*signer)(nil)
)

func (s *signer) Public() crypto.PublicKey { return s.public }

// Sign makes an RSA PKCS#1 v1.5, RSA-PSS, ECDSA (ASN.1) or key.Ed25519 signature.
func (s *signer) Sign(r io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.sign(func() ([]byte, error) { return s.signer.Sign(r, digest, opts) })
}

// SignMessage signs a message as Sign signs its digest.
func (s *signer) SignMessage(r io.Reader, message []byte, opts crypto.SignerOpts) ([]byte, error) {
	return s.sign(func() ([]byte, error) { return s.signer.SignMessage(r, message, opts) })
}

// Makes refuses what module, token and key do not sign, as far as it is known before a
// login.
func (s *signer) Makes(opts crypto.SignerOpts) error {
	prospect, err := s.key.session.Prospect(s.ctx, s.public)
	if err != nil {
		return key.Explain(s.key.session.Explain(s.ctx, err), "signing with "+s.key.ref.String(), "")
	}
	if !prospect.Supports(s.ctx, opts) {
		return problem.New(problem.NotSupported, "%s: module, token and key make no such signature", s.key.ref)
	}
	return nil
}

// sign refuses for a key whose CKA_SIGN is false.
func (s *signer) sign(with func() ([]byte, error)) ([]byte, error) {
	if err := s.unlock(); err != nil {
		return nil, err
	}
	if !s.private.MaySign() {
		return nil, key.CannotSign(s.key.ref.String()+": this key", "Its CKA_SIGN is false.")
	}
	return s.use("signing with ", with)
}

// Decrypt decrypts RSAES-PKCS1-v1_5 or RSAES-OAEP.
func (s *signer) Decrypt(r io.Reader, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	return s.use("decrypting with ", func() ([]byte, error) { return s.signer.Decrypt(r, ciphertext, opts) })
}

func (s *signer) use(what string, with func() ([]byte, error)) ([]byte, error) {
	k := s.key
	if err := s.unlock(); err != nil {
		return nil, err
	}
	result, err := with()
	return result, key.Explain(k.session.Explain(s.ctx, err), what+k.ref.String(), "")
}

// unlock readies the private half, once.
func (s *signer) unlock() (err error) {
	if s.signer != nil {
		return nil
	}
	if s.private, err = s.key.unlocked(s.ctx); err == nil {
		s.signer = s.private.Signer(s.ctx)
	}
	return err
}

// Decrypt decrypts RSAES-PKCS1-v1_5 or RSAES-OAEP.
func (k *place) Decrypt(ctx context.Context, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	public, err := k.Public(ctx)
	if err != nil {
		return nil, err
	}
	return (&signer{ctx: ctx, key: k, public: public}).Decrypt(nil, ciphertext, opts)
}

// Derive agrees on a secret by CKM_ECDH1_DERIVE without a key derivation.
func (k *place) Derive(ctx context.Context, peer crypto.PublicKey) ([]byte, error) {
	other, err := pubkey.Agreement(peer)
	if err != nil {
		return nil, problem.Wrap(problem.NotSupported, err, k.ref.String())
	}
	private, err := k.unlocked(ctx)
	if err != nil {
		return nil, err
	}
	value, err := private.ECDH(ctx, other)
	return value, key.Explain(k.session.Explain(ctx, err), "deriving with "+k.ref.String(), "")
}

// unlocked logs in, and looks for the private half of what was read before.
func (k *place) unlocked(ctx context.Context) (*p11.Key, error) {
	stored, err := k.used(ctx)
	if err != nil {
		return nil, err
	}
	if err := k.login(ctx); err != nil {
		return nil, err
	}
	if k.private != nil && k.privateOf == stored {
		return k.private, nil
	}
	k.private, err = k.session.KeyOf(ctx, *stored)
	k.privateOf = stored
	return k.private, key.Explain(err, k.ref.String(), "")
}
