package piv

import (
	"context"
	"crypto"
	"crypto/rsa"
	"slices"

	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Decrypt decrypts an RSA ciphertext: the card applies its private exponent, and the
// padding of PKCS#1 v1.5 or RSAES-OAEP is taken off here.
func (k *slotKey) Decrypt(ctx context.Context, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	what := "decrypting with " + k.ref.String()
	public, err := k.Public(ctx)
	if err != nil {
		return nil, err
	}
	modulus, err := key.Decrypts(what, public)
	if err != nil {
		return nil, err
	}
	oaep, padded := opts.(*rsa.OAEPOptions)
	if padded && !pubkey.UnpadsOAEP(oaep) {
		return nil, problem.New(problem.NotSupported, "%s: RSAES-OAEP with this digest is not supported", what)
	}
	cryptogram, err := key.Cryptogram(what, modulus, ciphertext)
	if err != nil {
		return nil, err
	}
	encoded, err := k.use(ctx, public, false, "touch the card to allow the decryption", func(selected *app.Card, algorithm app.Algorithm) ([]byte, error) {
		return selected.Use(ctx, k.slot, algorithm, cryptogram)
	})
	if err != nil {
		return nil, explain(err, what, "")
	}
	encoded = slices.Concat(make([]byte, max(0, modulus.Size()-len(encoded))), encoded)
	plain, err := pubkey.Unpad(encoded, opts)
	return plain, explain(err, what, "")
}

// Derive is ECDH.
func (k *slotKey) Derive(ctx context.Context, peer crypto.PublicKey) ([]byte, error) {
	what := "deriving with " + k.ref.String()
	public, err := k.Public(ctx)
	if err != nil {
		return nil, err
	}
	_, theirs, err := key.Agree(what, public, peer)
	if err != nil {
		return nil, err
	}
	shared, err := k.use(ctx, public, false, "touch the card to allow the key agreement", func(selected *app.Card, algorithm app.Algorithm) ([]byte, error) {
		return selected.Agree(ctx, k.slot, algorithm, theirs.Bytes())
	})
	return shared, explain(err, what, "")
}
