package keygen

import (
	"context"
	"crypto"
	"errors"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ber"
	"github.com/cardctl/cardctl/internal/pbe"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// encrypted reads EncryptedPrivateKeyInfo, RFC 5958, 3; ok is false for another
// structure.
func encrypted(der []byte) (algorithm ber.Element, ciphertext []byte, ok bool) {
	outer, rest, err := ber.Read(der)
	if err != nil || len(rest) > 0 || !outer.Is(ber.Sequence) {
		return algorithm, nil, false
	}
	parts, err := outer.Elements(2)
	if err != nil || len(parts) != 2 || !parts[0].Is(ber.Sequence) || !parts[1].Is(ber.OctetString) {
		return algorithm, nil, false
	}
	ciphertext, err = parts[1].Octets()
	return parts[0], ciphertext, err == nil
}

// parseEncrypted reads an encrypted PKCS#8 key.
func parseEncrypted(ctx context.Context, algorithm ber.Element, ciphertext []byte, ask secret.Asker) (crypto.PrivateKey, error) {
	scheme, err := pbe.Parse(algorithm)
	if err != nil {
		what := "the encryption of the key is not supported"
		if errors.Is(err, pbe.ErrBounds) {
			what = "the encryption of the key asks for too much work"
		}
		return nil, problem.Wrap(problem.NotSupported, err, what).
			Advise(advice.Run("openssl", "pkcs8", "-topk8", "-in", "FILE", "-out", "key.pem"))
	}
	typed, err := ask(ctx, passwordOf("the private key"))
	if err != nil {
		return nil, err
	}
	defer typed.Wipe()
	password := pbe.NewPassword(typed.Reveal())
	defer password.Wipe()
	der, err := scheme.Decrypt(ctx, password, ciphertext)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case err != nil:
		return nil, wrongPassword(err)
	}
	defer secret.Wipe(der[:cap(der)])
	private, err := parsePlain(der)
	if problem.Is(err, problem.Mismatch) {
		return nil, wrongPassword(err) // the padding was right by chance
	}
	return private, err
}
