package pkcs15

import (
	"context"
	"crypto"
	"encoding/hex"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
)

// sign signs with pkcs15-crypt, which reads the PIN from its standard
// input.
func (d openSC) sign(ctx context.Context, k *PrivateKey, p PIN, pin *secret.Bytes, digest []byte, hash crypto.Hash) ([]byte, error) {
	options := map[crypto.Hash]string{
		crypto.SHA1: "--sha-1", crypto.SHA256: "--sha-256", crypto.SHA384: "--sha-384", crypto.SHA512: "--sha-512",
	}
	option, ok := options[hash]
	if !ok {
		return nil, problem.New(problem.NotSupported, "pkcs15-crypt does not support signatures over %s", hash).
			Advise(advice.Repeat().Without(advice.Digest))
	}
	args := []string{"--sign", "--key", hex.EncodeToString(k.ID), "--pin", "-", "--raw", "--input", runner.FilePlace}
	if k.EC {
		args = append(args, "--signature-format", "sequence")
	} else {
		args = append(args, "--pkcs1", option)
	}
	stdin := append(append([]byte{}, pin.Reveal()...), '\n')
	defer secret.Wipe(stdin)
	out, err := d.card.tool(ctx, call{program: "pkcs15-crypt", args: args, stdin: stdin, file: digest})
	if err != nil {
		return nil, d.card.judge(ctx, err, p, "signing")
	}
	return out, nil
}
