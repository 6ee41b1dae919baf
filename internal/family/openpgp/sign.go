package openpgp

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Signer returns a crypto.Signer over the key. The decryption key signs where
// it is RSA and the card can lend it to INTERNAL AUTHENTICATE.
func (k *slotKey) Signer(ctx context.Context) (crypto.Signer, error) {
	public, err := k.Public(ctx)
	if err != nil {
		return nil, err
	}
	if err := key.Signs(k.ref, public); err != nil {
		return nil, err
	}
	if k.slot == app.Decryption {
		_, data, err := k.data(ctx)
		if err != nil {
			return nil, k.explain(err, "")
		}
		if _, isRSA := public.(*rsa.PublicKey); !isRSA || !data.Extended.MSE {
			return nil, key.CannotSign(k.ref.String()+": the decryption key of this card",
				"Signing with it needs an RSA key and a card with MANAGE SECURITY ENVIRONMENT.")
		}
	}
	return &signer{ctx: ctx, key: k, public: public}, nil
}

// ready has the user PIN verified, and tells a person who has to touch the card.
func (k *slotKey) ready(ctx context.Context, touch string) (*app.Card, error) {
	if err := k.unlock(ctx, app.PasswordFor(k.slot)); err != nil {
		return nil, err
	}
	selected, data, err := k.data(ctx)
	if err != nil {
		return nil, err
	}
	if data.Key(k.slot).Touch() {
		k.access.Notify(touch)
	}
	return selected, nil
}

// VerifyPIN has the user PIN verified, by the number that the slot wants.
func (k *slotKey) VerifyPIN(ctx context.Context) error {
	return k.explain(k.unlock(ctx, app.PasswordFor(k.slot)), "")
}

// signer carries the context of the command that made it, because
// crypto.Signer has no place for one.
type signer struct {
	ctx    context.Context
	key    *slotKey
	public crypto.PublicKey
}

func (s *signer) Public() crypto.PublicKey { return s.public }

// Sign makes an RSA PKCS#1 v1.5, ECDSA (ASN.1) or Ed25519 signature.
func (s *signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	input, err := s.input(digest, opts)
	if err != nil {
		return nil, err
	}
	what := "signing with " + s.key.ref.String()
	selected, err := s.key.ready(s.ctx, "touch the card to allow the signature")
	if err != nil {
		return nil, explain(err, what, "")
	}
	if s.key.slot == app.Decryption {
		if err := selected.UseForAuthentication(s.ctx, s.key.slot); err != nil {
			return nil, explain(err, what, "")
		}
	}
	signature, err := selected.Sign(s.ctx, s.key.slot, input)
	if err != nil {
		return nil, s.explain(err, what, len(input))
	}
	if _, ok := s.public.(*ecdsa.PublicKey); ok {
		return joinECDSA(signature)
	}
	return signature, nil
}

// explain tells a message that is too long for the card from other refusals:
// Ed25519 alone has to be sent all of it.
func (s *signer) explain(err error, what string, length int) error {
	if tooLong := key.TooLong(err, what, s.public, length); tooLong != nil {
		return tooLong
	}
	return explain(err, what, "")
}

// Makes refuses what OpenPGP cards do not sign.
func (s *signer) Makes(opts crypto.SignerOpts) error {
	_, pss := opts.(*rsa.PSSOptions)
	_, whole := s.public.(ed25519.PublicKey)
	switch {
	case pss:
		return problem.New(problem.NotSupported, "%s: an OpenPGP card does not support RSA-PSS", s.key.ref).
			Because("OpenPGP cards make only PKCS#1 v1.5 signatures with RSA keys.").
			Advise(advice.Repeat().Without(advice.PSS))
	case whole && opts.HashFunc() != 0:
		return problem.New(problem.NotSupported, "%s: Ed25519 signs the message, not a digest of it", s.key.ref)
	}
	return nil
}

// input is what the card signs: it adds the padding, not the DigestInfo.
func (s *signer) input(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	if err := s.Makes(opts); err != nil {
		return nil, err
	}
	hash := opts.HashFunc()
	switch public := s.public.(type) {
	case *rsa.PublicKey:
		if len(digest) != hash.Size() {
			return nil, fmt.Errorf("a digest of %d bytes for %s", len(digest), hash)
		}
		input, err := pubkey.DigestInfo(hash, digest)
		if errors.Is(err, pubkey.ErrDigest) {
			return nil, problem.New(problem.NotSupported, "RSA signatures over %s are not supported", hash)
		}
		return input, err
	case *ecdsa.PublicKey:
		return pubkey.FitDigest(digest, min(public.Params().BitSize, 512)/8), nil
	}
	return digest, nil
}

// joinECDSA makes the ASN.1 form of r and s, one behind the other.
func joinECDSA(raw []byte) ([]byte, error) {
	if len(raw) == 0 || len(raw)%2 != 0 {
		return nil, fmt.Errorf("%w: an ECDSA signature of %d bytes", app.ErrMalformed, len(raw))
	}
	half := len(raw) / 2
	return asn1.Marshal(struct{ R, S *big.Int }{
		new(big.Int).SetBytes(raw[:half]), new(big.Int).SetBytes(raw[half:]),
	})
}
