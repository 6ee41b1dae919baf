package certstore

import (
	"context"
	"crypto"

	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/key"
)

// publicKey is the public key that a certificate is compared with. Where the card does
// not report it, the key has to prove that it belongs to the certificate: the only one,
// or the first that is not of a CA.
func publicKey(ctx context.Context, k key.Key, certificates []*cert.Certificate) (crypto.PublicKey, error) {
	prover, ok := k.(key.Prover)
	if !ok {
		return k.Public(ctx)
	}
	reported, err := prover.Reported(ctx)
	if err != nil {
		return nil, err
	}
	candidate := candidate(certificates)
	if reported || candidate == nil {
		return k.Public(ctx)
	}
	return candidate.PublicKey, prover.Prove(ctx, candidate.PublicKey)
}

func candidate(certificates []*cert.Certificate) *cert.Certificate {
	for _, c := range certificates {
		if !c.IsCA || len(certificates) == 1 {
			return c
		}
	}
	return nil
}
