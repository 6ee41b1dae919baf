package piv

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/iso7816"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Reported says whether the card tells the public key, or the user gave it.
func (k *slotKey) Reported(ctx context.Context) (bool, error) {
	now, err := k.look(ctx)
	if err != nil {
		return false, k.explain(err, "")
	}
	return k.access.PublicKey != nil || now.state == empty || now.public != nil && !now.certified, nil
}

// Prove has the key sign something new, or agree on a secret, which the public key then
// has to fit.
func (k *slotKey) Prove(ctx context.Context, public crypto.PublicKey) error {
	what := k.ref.String() + ": proving that the key on the card belongs to the certificate"
	fits, err := k.fits(ctx, public)
	switch {
	case err == nil && fits:
		return nil
	case err == nil || slices.Contains(noSuchKey, iso7816.StatusOf(err)):
		p := problem.New(problem.Mismatch, "the certificate is not for the key on the card").
			Because("The key did not prove that it is the private half of %s.", pubkey.Fingerprint(public))
		p.Cause = err
		return p
	}
	return explain(err, what, "")
}

// fits has the key sign, or if it cannot, agree.
func (k *slotKey) fits(ctx context.Context, public crypto.PublicKey) (bool, error) {
	fits, err := k.signsFor(ctx, public)
	if errors.Is(err, errCannot) || slices.Contains(noSuchKey, iso7816.StatusOf(err)) {
		if agreement, failed := pubkey.Agreement(public); failed == nil {
			fits, err = k.agreesFor(ctx, agreement)
		}
	}
	return fits, err
}

// errCannot is a key that does not sign.
var errCannot = errors.New("a key of this kind does not sign")

// signsFor has the key sign a digest of something new, and verifies the signature.
func (k *slotKey) signsFor(ctx context.Context, public crypto.PublicKey) (bool, error) {
	message := make([]byte, sha256.Size)
	if _, err := rand.Read(message); err != nil {
		return false, err
	}
	digest, hash := sha256.Sum256(message), crypto.Hash(crypto.SHA256)
	signed := digest[:]
	switch public.(type) {
	case ed25519.PublicKey:
		signed, hash = message, 0
	case *rsa.PublicKey, *ecdsa.PublicKey:
	default:
		return false, errCannot
	}
	s := &signer{ctx: ctx, key: k, public: public}
	input, err := s.input(signed, hash)
	if err != nil {
		return false, err
	}
	signature, err := k.use(ctx, public, false, touchToProve, func(selected *app.Card, algorithm app.Algorithm) ([]byte, error) {
		return selected.Use(ctx, k.slot, algorithm, input)
	})
	if err != nil {
		return false, err
	}
	return pubkey.Verify(public, signed, signature, hash), nil
}

const touchToProve = "touch the card to allow the key to prove that it belongs to the certificate"

// agreesFor has the key agree on a secret with a new key, and compares it.
func (k *slotKey) agreesFor(ctx context.Context, public *ecdh.PublicKey) (bool, error) {
	own, err := public.Curve().GenerateKey(rand.Reader)
	if err != nil {
		return false, err
	}
	want, err := own.ECDH(public)
	if err != nil {
		return false, err
	}
	got, err := k.use(ctx, public, false, touchToProve, func(selected *app.Card, algorithm app.Algorithm) ([]byte, error) {
		return selected.Agree(ctx, k.slot, algorithm, own.PublicKey().Bytes())
	})
	return bytes.Equal(got, want), err
}
