package applet

import (
	"context"
	"crypto/rsa"
	"errors"
	"os"
	"path/filepath"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// maxPublicKey is the greatest length of the file of a public key in bytes.
const maxPublicKey = 64 << 10

// readTokenKey reads the RSA public key by which a card verifies tokens.
func readTokenKey(ctx context.Context, path string) (*rsa.PublicKey, error) {
	name := filepath.Base(path)
	data, err := input.File(ctx, path, maxPublicKey)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, os.ErrNotExist):
		return nil, problem.Wrap(problem.NotFound, err, path)
	case err != nil:
		return nil, problem.Wrap(problem.Failed, err, path)
	}
	public, err := pubkey.Read(data)
	key, ok := public.(*rsa.PublicKey)
	if err != nil || !ok {
		return nil, problem.New(problem.Mismatch, "%s is not an RSA public key", name).
			Because("put_dm_keys needs a SubjectPublicKeyInfo in PEM or DER.").
			Advise(advice.Run("openssl", "rsa", "-in", "FILE", "-pubout"))
	}
	const fewest = 1024
	if bits := key.N.BitLen(); bits < fewest || bits%8 != 0 {
		return nil, problem.New(problem.Mismatch, "%s has an RSA key of %d bits", name, bits).
			Because("Cards verify tokens with %d bits or more, in whole bytes.", fewest)
	}
	return key, nil
}

// putManagementKeys gives the card the keys of a put_dm_keys.
func (r *scriptRun) putManagementKeys(ctx context.Context, c *command) error {
	receipt := c.hex("-key")
	defer secret.Wipe(receipt)
	keys := gp.ManagementKeys{
		Token: r.tokenKeys[c.options["-file"]], Receipt: receipt, Cipher: gp.TripleDES,
		Replace: byte(c.number("-keyver")), Version: byte(c.number("-newkeyver")), Bare: true,
	}
	if session := r.domain.Session(); session != nil {
		keys.Cipher = session.Protocol.Cipher()
	}
	err := r.domain.PutManagementKeys(ctx, keys)
	if errors.Is(err, gp.ErrTooLong) {
		most, _ := r.domain.Session().Fits(0)
		return problem.New(problem.NotSupported, "the public key of %d bits does not fit into one command to this card", keys.Token.N.BitLen()).
			Because("A command through this secure channel has at most %d bytes of data.", most).Advise(advice.Say("Use a shorter RSA key for the tokens."))
	}
	return err
}
