package piv

import (
	"context"
	"crypto"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
)

// later is the error of what cardctl cannot do on PIV cards yet.
func (k *slotKey) later(what string) error {
	return problem.New(problem.NotSupported, "%s: %s is not supported yet on PIV cards", k.ref, what).
		Because("This version reads PIV cards.")
}

func (k *slotKey) Algorithms(context.Context) ([]key.Algorithm, error) { return nil, nil }

func (k *slotKey) PIN(ctx context.Context, _ key.Purpose) (pin.PIN, error) {
	p, err := k.userPIN(ctx)
	return p, k.explain(err, "")
}

func (k *slotKey) Signer(context.Context) (crypto.Signer, error) { return nil, k.later("signing") }

func (k *slotKey) Decrypt(context.Context, []byte, crypto.DecrypterOpts) ([]byte, error) {
	return nil, k.later("decrypting")
}

func (k *slotKey) Derive(context.Context, crypto.PublicKey) ([]byte, error) {
	return nil, k.later("deriving")
}

func (k *slotKey) Generate(context.Context, key.Spec) (*key.Generated, error) {
	return nil, k.later("generating a key")
}

func (k *slotKey) Import(context.Context, crypto.PrivateKey, key.Spec) (*key.Generated, error) {
	return nil, k.later("importing a key")
}

func (k *slotKey) Delete(context.Context) error { return k.later("deleting a key") }

func (k *slotKey) PutCertificate(context.Context, []byte, [][]byte) error {
	return k.later("writing a certificate")
}

func (k *slotKey) DeleteCertificate(context.Context) error { return k.later("deleting a certificate") }
