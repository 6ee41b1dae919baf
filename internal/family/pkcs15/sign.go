package pkcs15

import (
	"context"
	"crypto"
	"io"

	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/pkcs15"
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
	err = s.key.use(s.ctx, s.private, func(p app.PIN, pin *secret.Bytes) (err error) {
		signature, err = s.key.card.app.Sign(s.ctx, s.private, p, pin, digest, opts)
		return err
	})
	return signature, key.Explain(err, "signing with "+s.key.ref.String(), "")
}

// use does something with the key, whose PIN is sent unless it is verified. A card that was
// released is taken first: its PIN is not verified any more.
func (k *place) use(ctx context.Context, private *app.PrivateKey, do func(app.PIN, *secret.Bytes) error) error {
	if _, err := k.card.line.Channel(ctx); err != nil {
		return err
	}
	if p, verified := k.card.app.Verified(private); verified {
		return do(p, nil)
	}
	return k.with(ctx, key.ToUse, do)
}
