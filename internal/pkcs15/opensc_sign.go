package pkcs15

import (
	"context"
	"crypto"
	"encoding/hex"
	"strings"

	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/secret"
)

// sign signs with pkcs15-crypt, which reads the PIN from its standard
// input.
func (d openSC) sign(ctx context.Context, k *PrivateKey, p PIN, pin *secret.Bytes, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	args := []string{"--sign", "--key", hex.EncodeToString(k.ID), "--pin", "-", "--raw", "--input", runner.FilePlace}
	if k.EC {
		args = append(args, "--signature-format", "sequence")
	} else {
		args = append(args, "--pkcs1", "--"+strings.ToLower(opts.HashFunc().String())) // --sha-256
	}
	stdin := append(append([]byte{}, pin.Reveal()...), '\n')
	defer secret.Wipe(stdin)
	out, err := d.card.tool(ctx, call{program: "pkcs15-crypt", args: args, stdin: stdin, file: digest})
	if err != nil {
		return nil, d.card.judge(ctx, err, p, "signing")
	}
	return out, nil
}
