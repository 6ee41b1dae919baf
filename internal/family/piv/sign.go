package piv

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
	app "github.com/cardctl/cardctl/internal/piv"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
	"github.com/cardctl/cardctl/internal/secret"
)

// PIN is the user PIN, also where the management key alone is needed.
func (k *slotKey) PIN(ctx context.Context, _ key.Purpose) (pin.PIN, error) {
	p, err := k.userPIN(ctx)
	return p, k.explain(err, "")
}

// Signer returns a crypto.Signer over the key.
func (k *slotKey) Signer(ctx context.Context) (crypto.Signer, error) {
	public, err := k.Public(ctx)
	if err != nil {
		return nil, err
	}
	return k.signer(ctx, public, k.access.Expected != nil)
}

// SignerOf is that of key.Remembered.
func (k *slotKey) SignerOf(ctx context.Context, public crypto.PublicKey) (crypto.Signer, error) {
	return k.signer(ctx, public, true)
}

func (k *slotKey) signer(ctx context.Context, public crypto.PublicKey, expected bool) (crypto.Signer, error) {
	if err := key.Signs(k.ref, public); err != nil {
		return nil, err
	}
	return &signer{ctx: ctx, key: k, public: public, expected: expected}, nil
}

// signer carries the context of the command that made it, because crypto.Signer has no
// place for one.
type signer struct {
	ctx    context.Context
	key    *slotKey
	public crypto.PublicKey
	// expected says that the caller verifies signatures with public.
	expected bool
}

func (s *signer) Public() crypto.PublicKey { return s.public }

// Sign makes an RSA PKCS#1 v1.5 or PSS, ECDSA (ASN.1) or Ed25519 signature. The padding
// of RSA is made here: the card applies its private exponent.
func (s *signer) Sign(_ io.Reader, digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	what := "signing with " + s.key.ref.String()
	input, err := s.input(digest, opts)
	if err != nil {
		return nil, explain(err, what, "")
	}
	sign := func(selected *app.Card, algorithm app.Algorithm) ([]byte, error) {
		return selected.Use(s.ctx, s.key.slot, algorithm, input)
	}
	signature, err := s.key.use(s.ctx, s.public, s.expected, "touch the card to allow the signature", sign)
	if err != nil {
		return nil, s.explain(err, what, len(input))
	}
	return signature, nil
}

// explain tells a message that is too long for the card from other refusals: Ed25519
// alone has to be sent all of it.
func (s *signer) explain(err error, what string, length int) error {
	if tooLong := key.TooLong(err, what, s.public, length); tooLong != nil {
		return tooLong
	}
	if s.refusesToSign(err) {
		return key.CannotSign(fmt.Sprintf("%s: the key-management key of this card", s.key.ref),
			fmt.Sprintf("The card refused the signature, because such a key is for key agreement [%s].", iso7816.StatusOf(err)))
	}
	return explain(err, what, "")
}

// refusesToSign reports whether the card keeps an elliptic curve key of key management to
// key agreement (SP 800-73-4, part 2, 3.2.4: tag 85 instead of 81). RSA keys do the same
// for both.
func (s *signer) refusesToSign(err error) bool {
	_, curve := s.public.(*ecdsa.PublicKey)
	status := iso7816.StatusOf(err)
	return curve && (s.key.slot == app.KeyManagement || s.key.slot.Retired()) &&
		(status == iso7816.StatusWrongData || status == iso7816.StatusFunctionNotSupported)
}

// input is what the card gets of a digest, or of a message for Ed25519.
func (s *signer) input(digest []byte, opts crypto.SignerOpts) ([]byte, error) {
	hash := opts.HashFunc()
	switch public := s.public.(type) {
	case *rsa.PublicKey:
		if hash == 0 || len(digest) != hash.Size() {
			return nil, fmt.Errorf("a digest of %d bytes for %s", len(digest), hash)
		}
		if pss, ok := opts.(*rsa.PSSOptions); ok {
			return pubkey.PadPSS(rand.Reader, public.N.BitLen(), hash, digest, pss.SaltLength)
		}
		info, err := pubkey.DigestInfo(hash, digest)
		if err != nil {
			return nil, err
		}
		block, fits := pubkey.PadPKCS1v15(info, public.Size())
		if !fits {
			return nil, fmt.Errorf("a modulus of %d bytes is too short for this digest", public.Size())
		}
		return block, nil
	case *ecdsa.PublicKey:
		return pubkey.FitDigest(digest, public.Params().BitSize/8), nil
	case ed25519.PublicKey:
		if hash != 0 {
			return nil, problem.New(problem.NotSupported, "%s: Ed25519 signs the message, not a digest of it", s.key.ref)
		}
	}
	return digest, nil
}

// use has the card use the key, whose public half is public: the PIN is verified as the
// key's policy wants it. Where that is always, VERIFY is the very command before. Where
// the card does not tell the policy, it is that of the slot (part 1, table 4b), and a card
// that refuses for the PIN has it verified.
func (k *slotKey) use(ctx context.Context, public crypto.PublicKey, expected bool, touch string, work func(*app.Card, app.Algorithm) ([]byte, error)) ([]byte, error) {
	algorithm, ok := app.AlgorithmNamed(string(key.AlgorithmOf(public)))
	if !ok {
		return nil, problem.New(problem.NotSupported, "PIV cards have no keys of this kind").Because("The key is %s.", key.AlgorithmOf(public))
	}
	if _, err := k.fresh(ctx); err != nil {
		return nil, err
	}
	if expected && k.found == nil {
		answer, err := k.useUnseen(ctx, public, touch, func(selected *app.Card) ([]byte, error) { return work(selected, algorithm) })
		if !errors.Is(err, errLook) {
			return answer, err
		}
	}
	now, err := k.look(ctx)
	if err != nil {
		return nil, err
	}
	policy := k.pinPolicy(now)
	verified := policy != app.PINNever
	unchanged := func(ctx context.Context) error { return k.unchanged(ctx, now) }
	if verified {
		err = k.unlockIf(ctx, policy == app.PINAlways, unchanged)
	} else {
		err = unchanged(ctx)
	}
	for err == nil {
		var selected *app.Card
		if selected, err = k.application(ctx); err != nil {
			break
		}
		if now.about.Touch > app.TouchNever {
			k.access.Notify(touch)
		}
		var answer []byte
		answer, err = work(selected, algorithm)
		if verified || iso7816.StatusOf(err) != iso7816.StatusSecurityNotSatisfied {
			return answer, err
		}
		verified, err = true, k.unlockIf(ctx, true, unchanged)
	}
	return nil, err
}

// pinPolicy is when a use of the key needs the PIN.
func (k *slotKey) pinPolicy(now *found) app.PINPolicy {
	switch {
	case now.about.PIN != 0:
		return now.about.PIN
	case k.slot == app.Signature:
		return app.PINAlways
	case k.slot == app.CardAuthentication:
		return app.PINNever
	}
	return app.PINOnce
}

// VerifyPIN has the PIN verified, unless it is.
func (c *onCard) VerifyPIN(ctx context.Context) error { return c.unlock(ctx, false) }

// unlock has the PIN verified, unless it is, or again is set.
func (c *onCard) unlock(ctx context.Context, again bool) error {
	return c.unlockIf(ctx, again, func(context.Context) error { return nil })
}

// unlockIf is unlock, if the card is still as it was when nobody was asked yet. That is
// looked at before VERIFY, so that the use of the key can be the very next command.
func (c *onCard) unlockIf(ctx context.Context, again bool, unchanged func(context.Context) error) error {
	selected, err := c.application(ctx)
	if err != nil {
		return err
	}
	if c.verified == selected && !again {
		return unchanged(ctx)
	}
	return c.sendPIN(ctx, c.access.Policy, unchanged)
}

// sendPIN has a policy send the PIN, if the card is still as it was.
func (c *onCard) sendPIN(ctx context.Context, policy *pin.Policy, unchanged func(context.Context) error) error {
	p, ref, err := c.userPINOf(ctx)
	if err != nil {
		return err
	}
	verify := c.verify(ref)
	return policy.Send(ctx, p, func(ctx context.Context, value *secret.Bytes) error {
		if err := unchanged(ctx); err != nil {
			return err
		}
		return verify(ctx, value)
	})
}
