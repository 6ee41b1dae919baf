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

// Decrypt decrypts an RSA ciphertext with PKCS#1 v1.5 padding, which is taken off here.
func (k *slotKey) Decrypt(ctx context.Context, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	what := "decrypting with " + k.ref.String()
	public, err := k.Public(ctx)
	if err != nil {
		return nil, err
	}
	modulus, isRSA := public.(*rsa.PublicKey)
	if !isRSA {
		return nil, problem.New(problem.NotSupported, "%s: a %s key cannot decrypt", what, key.AlgorithmOf(public)).
			Because("Only RSA keys decrypt; this key derives shared secrets.")
	}
	if _, oaep := opts.(*rsa.OAEPOptions); oaep {
		return nil, problem.New(problem.NotSupported, "%s: RSAES-OAEP is not supported", what)
	}
	if len(ciphertext) > modulus.Size() {
		return nil, problem.New(problem.Mismatch, "%s: %d bytes are too long for this key", what, len(ciphertext)).
			Because("The modulus of the key has %d bytes.", modulus.Size())
	}
	cryptogram := append(make([]byte, modulus.Size()-len(ciphertext), modulus.Size()), ciphertext...)
	encoded, err := k.use(ctx, public, "touch the card to allow the decryption", func(selected *app.Card, algorithm app.Algorithm) ([]byte, error) {
		return selected.Use(ctx, k.slot, algorithm, cryptogram)
	})
	if err != nil {
		return nil, explain(err, what, "")
	}
	plain, err := withoutPadding(slices.Concat(make([]byte, max(0, modulus.Size()-len(encoded))), encoded))
	return plain, explain(err, what, "")
}

// Derive is ECDH.
func (k *slotKey) Derive(ctx context.Context, peer crypto.PublicKey) ([]byte, error) {
	what := "deriving with " + k.ref.String()
	public, err := k.Public(ctx)
	if err != nil {
		return nil, err
	}
	own, err := pubkey.Agreement(public)
	if err != nil {
		return nil, problem.New(problem.NotSupported, "%s: a %s key cannot derive a secret", what, key.AlgorithmOf(public)).
			Because("Only a key on an elliptic curve can.")
	}
	theirs, err := pubkey.Agreement(peer)
	if err != nil || theirs.Curve() != own.Curve() {
		return nil, problem.New(problem.Mismatch, "%s: the other key is on another curve", what).
			Because("The key on the card is %s, the other %s.", key.AlgorithmOf(public), key.AlgorithmOf(peer))
	}
	shared, err := k.use(ctx, public, "touch the card to allow the key agreement", func(selected *app.Card, algorithm app.Algorithm) ([]byte, error) {
		return selected.Agree(ctx, k.slot, algorithm, theirs.Bytes())
	})
	return shared, explain(err, what, "")
}
