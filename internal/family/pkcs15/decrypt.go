package pkcs15

import (
	"context"
	"crypto"

	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/secret"
)

// Uses are those that the card's directory has the key for, and that the card can do.
func (k *place) Uses(ctx context.Context) (decrypts, derives bool, err error) {
	private, err := k.needed(ctx)
	if err != nil {
		return false, false, err
	}
	return k.card.app.CanDecryptWith(private, nil) == nil, k.card.app.CanDerive(private) == nil, nil
}

// Decrypt decrypts an RSA ciphertext; which paddings there are depends on the card.
func (k *place) Decrypt(ctx context.Context, ciphertext []byte, opts crypto.DecrypterOpts) (plain []byte, err error) {
	what := "decrypting with " + k.ref.String()
	private, public, err := k.both(ctx)
	if err != nil {
		return nil, err
	}
	modulus, err := key.Decrypts(what, public)
	if err != nil {
		return nil, err
	}
	if err := k.card.app.CanDecryptWith(private, opts); err != nil {
		return nil, key.Explain(err, what, "")
	}
	cryptogram, err := key.Cryptogram(what, modulus, ciphertext)
	if err != nil {
		return nil, err
	}
	err = k.use(ctx, private, func(p app.PIN, pin *secret.Bytes) (err error) {
		plain, err = k.card.app.Decrypt(ctx, private, p, pin, cryptogram, opts)
		return err
	})
	return plain, key.Explain(err, what, "")
}

// Derive is ECDH.
func (k *place) Derive(ctx context.Context, peer crypto.PublicKey) (shared []byte, err error) {
	what := "deriving with " + k.ref.String()
	private, public, err := k.both(ctx)
	if err != nil {
		return nil, err
	}
	_, theirs, err := key.Agree(what, public, peer)
	if err != nil {
		return nil, err
	}
	if err := k.card.app.CanDerive(private); err != nil {
		return nil, key.Explain(err, what, "")
	}
	err = k.use(ctx, private, func(p app.PIN, pin *secret.Bytes) (err error) {
		shared, err = k.card.app.Derive(ctx, private, p, pin, theirs.Bytes())
		return err
	})
	return shared, key.Explain(err, what, "")
}

// both are the key's entry in the directory, and its public half.
func (k *place) both(ctx context.Context) (*app.PrivateKey, crypto.PublicKey, error) {
	private, err := k.needed(ctx)
	if err != nil {
		return nil, nil, err
	}
	public, err := k.Public(ctx)
	return private, public, err
}
