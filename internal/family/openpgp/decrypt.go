package openpgp

import (
	"context"
	"crypto"
	"crypto/rsa"
	"fmt"

	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
)

// Decrypt decrypts with the decryption key. The card knows PKCS#1 v1.5 alone, and
// takes it off.
func (k *slotKey) Decrypt(ctx context.Context, ciphertext []byte, opts crypto.DecrypterOpts) ([]byte, error) {
	what := "decrypting with " + k.ref.String()
	public, err := k.decrypts(ctx, what)
	if err != nil {
		return nil, err
	}
	modulus, err := key.Decrypts(what, public)
	if err != nil {
		return nil, err
	}
	if _, oaep := opts.(*rsa.OAEPOptions); oaep {
		return nil, problem.New(problem.NotSupported, "%s: an OpenPGP card does not support RSAES-OAEP", what).
			Because("It removes only the padding of PKCS#1 v1.5.")
	}
	cryptogram, err := key.Cryptogram(what, modulus, ciphertext)
	if err != nil {
		return nil, err
	}
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
	own, theirs, err := key.Agree(what, public, peer)
	if err != nil {
		return nil, err
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
