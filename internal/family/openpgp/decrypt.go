package openpgp

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"

	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Decrypt decrypts with the decryption key. The card knows PKCS#1 v1.5 alone, and
// takes it off.
func (k *slotKey) Decrypt(ctx context.Context, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	what := "decrypting with " + k.ref.String()
	public, err := k.decrypts(ctx, what)
	if err != nil {
		return nil, err
	}
	modulus, isRSA := public.(*rsa.PublicKey)
	if !isRSA {
		return nil, problem.New(problem.NotSupported, "%s: a %s key cannot decrypt", what, key.AlgorithmOf(public)).
			Because("Only RSA keys decrypt; this key derives shared secrets.")
	}
	if _, oaep := opts.(*rsa.OAEPOptions); oaep {
		return nil, problem.New(problem.NotSupported, "%s: an OpenPGP card does not support RSAES-OAEP", what).
			Because("It removes only the padding of PKCS#1 v1.5.")
	}
	if len(ciphertext) > modulus.Size() {
		return nil, problem.New(problem.Mismatch, "%s: %d bytes are too long for this key", what, len(ciphertext)).
			Because("The modulus of the key has %d bytes.", modulus.Size())
	}
	cryptogram := append(make([]byte, modulus.Size()-len(ciphertext), modulus.Size()), ciphertext...)
	selected, err := k.ready(ctx, "touch the card to allow the decryption")
	if err != nil {
		return nil, explain(err, what, "")
	}
	plain, err := selected.Decipher(ctx, cryptogram)
	return plain, explain(err, what, "")
}

// Derive is ECDH with the decryption key.
func (k *slotKey) Derive(ctx context.Context, peer crypto.PublicKey) ([]byte, error) {
	what := "deriving with " + k.ref.String()
	public, err := k.decrypts(ctx, what)
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
	selected, err := k.ready(ctx, "touch the card to allow the key agreement")
	if err != nil {
		return nil, explain(err, what, "")
	}
	answer, err := selected.Agree(ctx, theirs.Bytes())
	if err != nil {
		return nil, explain(err, what, "")
	}
	secret, err := sharedSecret(answer, len(own.Bytes()))
	return secret, explain(err, what, "")
}

// decrypts refuses the slots that do not decrypt.
func (k *slotKey) decrypts(ctx context.Context, what string) (crypto.PublicKey, error) {
	if k.slot != app.Decryption {
		return nil, problem.New(problem.NotSupported, "%s: the %s key only signs", what, k.slot).Advise(withSlot(app.Decryption))
	}
	return k.Public(ctx)
}

// sharedSecret is the x-coordinate in an answer to a point of n bytes. Some cards
// answer the point, or X25519's number with 40 in front.
func sharedSecret(answer []byte, n int) ([]byte, error) {
	size := n // of X25519
	if n%2 == 1 {
		size = n / 2
	}
	switch {
	case len(answer) == size:
		return answer, nil
	case len(answer) == n && n%2 == 1 && answer[0] == 0x04:
		return answer[1 : 1+size], nil
	case len(answer) == n+1 && n%2 == 0 && answer[0] == 0x40:
		return answer[1:], nil
	}
	return nil, fmt.Errorf("%w: a shared secret of %d bytes", app.ErrMalformed, len(answer))
}
