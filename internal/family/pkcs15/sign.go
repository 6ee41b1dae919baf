package pkcs15

import (
	"context"
	"crypto"
	"io"

	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

func (k *place) Signer(ctx context.Context) (crypto.Signer, error) {
	private, err := k.needed(ctx)
	if err != nil {
		return nil, err
	}
	if !private.Usage.CanSign() {
		return nil, key.CannotSign(k.ref.String()+": this key", "The usage stored with the key does not include signing.")
	}
	public, err := k.Public(ctx)
	if err != nil {
		return nil, err
	}
	return &signer{ctx, k, private, public}, nil
}

// signer carries the context of the command that made it, because
// crypto.Signer has no place for one.
type signer struct {
	ctx     context.Context
	key     *place
	private *app.PrivateKey
	public  crypto.PublicKey
}

func (s *signer) Public() crypto.PublicKey { return s.public }

// Makes refuses what the card does not sign.
func (s *signer) Makes(opts crypto.SignerOpts) error {
	return key.Explain(s.key.card.app.CanSignWith(s.private, opts), "signing with "+s.key.ref.String(), "")
}

// Sign makes an RSA or an ECDSA (ASN.1) signature.
func (s *signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) (signature []byte, err error) {
	if err := s.Makes(opts); err != nil {
		return nil, err
	}
	private, card := s.private, s.key.card.app
	sign := func(p app.PIN, pin *secret.Bytes) (err error) {
		signature, err = card.Sign(s.ctx, private, p, pin, digest, opts)
		return err
	}
	if p, verified := card.Verified(private); verified {
		err = sign(p, nil)
	} else {
		err = s.key.with(s.ctx, key.ToUse, sign)
	}
	return signature, key.Explain(err, "signing with "+s.key.ref.String(), "")
}

// OnlySigns is that of key.SigningOnly.
func (k *place) OnlySigns() {}

// Decrypt is not built for PKCS#15 cards.
func (k *place) Decrypt(context.Context, []byte, crypto.DecrypterOpts) ([]byte, error) {
	return nil, k.onlySigns("decrypt")
}

// Derive is not built for PKCS#15 cards.
func (k *place) Derive(context.Context, crypto.PublicKey) ([]byte, error) {
	return nil, k.onlySigns("derive a secret")
}

func (k *place) onlySigns(what string) error {
	return problem.New(problem.NotSupported, "%s: cardctl does not %s with PKCS#15 cards", k.ref, what).
		Because("cardctl only signs with them. Other programs can decrypt through a PKCS#11 module.")
}
