package setup

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"fmt"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
)

// forSSH refuses a key of a kind that OpenSSH does not use from a PKCS#11 module.
func (j *job) forSSH(ctx context.Context) error {
	if j.ownSSHAgent() != "" {
		return nil
	}
	result, err := j.outcome(ctx, runner.Program{Name: "ssh", Args: []string{"-V"}})
	if err != nil {
		return err
	}
	return usableBy(string(result.Stderr), j.key.public, j.key.Ref)
}

// usableBy refuses an Ed25519 key if OpenSSH, which tells its version, is older than 10.1.
func usableBy(version string, public crypto.PublicKey, ref string) error {
	var major, minor int
	if _, err := fmt.Sscanf(version, "OpenSSH_%d.%d", &major, &minor); err != nil || major > 10 || major == 10 && minor >= 1 {
		return nil
	}
	if _, is := public.(ed25519.PublicKey); !is {
		return nil
	}
	return problem.New(problem.NotSupported, "OpenSSH %d.%d does not use the key %s", major, minor, ref).
		Because("It uses Ed25519 keys from PKCS#11 modules since version 10.1. Use a p256 key.").
		Advise(generateP256())
}
