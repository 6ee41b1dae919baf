package token

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// What is on the token when making or importing a key ends half way.
const (
	tokenUntouched = "Nothing on the token was changed."
	tokenUnknown   = "It is not known whether the new key is on the token; a previous key is still there."
	tokenBoth      = "The new key is on the token, and so is the previous one."
)

// Generate makes the key. A key that it replaces is removed last, when the new
// one is on the token.
func (k *place) Generate(ctx context.Context, spec key.Spec) (*key.Generated, error) {
	what := k.ref.String()
	if spec.Algorithm == "" {
		spec.Algorithm = key.RSA2048
		makes, err := k.session.Makes(ctx, string(key.P256))
		if err != nil {
			return nil, key.Explain(err, what, tokenUntouched)
		}
		if makes {
			spec.Algorithm = key.P256
		}
	}
	if err := k.session.CheckMakes(ctx, string(spec.Algorithm)); err != nil {
		return nil, key.Explain(err, what, tokenUntouched)
	}
	n, err := k.newKey(spec, spec.Algorithm)
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, what)
	}
	return k.put(ctx, what, n, nil, func(n p11.NewKey) (p11.StoredKey, error) {
		k.access.Notify("generating the key on the token")
		return k.session.GenerateKeyPair(ctx, string(spec.Algorithm), n)
	})
}

// Import brings a key to the token.
func (k *place) Import(ctx context.Context, private crypto.PrivateKey, spec key.Spec) (*key.Generated, error) {
	what := k.ref.String()
	withPublic, ok := private.(interface{ Public() crypto.PublicKey })
	if !ok {
		return nil, problem.New(problem.NotSupported, "%s: a %T is not a key for a token", what, private)
	}
	n, err := k.newKey(spec, key.AlgorithmOf(withPublic.Public()))
	if err != nil {
		return nil, problem.Wrap(problem.Usage, err, what)
	}
	return k.put(ctx, what, n, withPublic.Public(), func(n p11.NewKey) (p11.StoredKey, error) {
		made, err := k.session.ImportKey(ctx, private, n)
		var refused *problem.Error
		if problem.Is(err, problem.NotSupported) && errors.As(err, &refused) {
			err = refused.Advise(advice.Do(advice.GenerateKey, advice.Set(advice.Module, k.token.module.Path()), advice.Set(advice.Key, what)))
		}
		return made, err
	})
}

// put does what Generate and Import have in common: it logs in, looks what is
// there, and puts the new key beside it before it removes the old one. expected
// is the public key where it is known.
func (k *place) put(ctx context.Context, what string, n p11.NewKey, expected crypto.PublicKey, put func(p11.NewKey) (p11.StoredKey, error)) (*key.Generated, error) {
	if err := k.login(ctx); err != nil {
		return nil, key.Explain(err, what, tokenUntouched)
	}
	k.reread() // what was read long ago may not be there any more
	there, err := k.read(ctx, p11.Names{ID: n.ID, Label: n.Label, Public: expected})
	if err != nil {
		return nil, err
	}
	old, err := k.replaced(ctx)
	if err == nil {
		err = k.free(n, old, expected)
	}
	if err != nil {
		return nil, key.Explain(err, what, tokenUntouched)
	}
	wantedID := n.ID
	if old != nil {
		n.ID = nil // the old key has it
	}
	k.forget()
	k.written = nil
	made, err := put(n)
	if err != nil {
		state := tokenUntouched
		if p11.Uncertain(err) {
			state = tokenUnknown
		}
		return nil, key.Explain(err, what, state)
	}
	if expected != nil && !pubkey.Same(made.Public, expected) {
		return nil, problem.New(problem.Mismatch, "%s: the key on the token is not the one that was sent", what).
			Because("The token reports a different public key. Do not use this key.").
			Advise(k.show())
	}
	if old != nil {
		if err := k.session.DeleteKey(ctx, *old); err != nil {
			return nil, key.Explain(err, what, tokenBoth)
		}
		if wantedID != nil {
			if err := k.session.SetID(ctx, made, wantedID); err != nil {
				return nil, key.Explain(err, what, "The new key is on the token, but not with the ID that was asked for.")
			}
			made.ID = wantedID
		}
		k.contents = there.Replacing(*old, made)
	}
	return &key.Generated{Occupant: occupantOf(&made), Public: made.Public, Keygrip: key.Keygrip(made.Public)}, nil
}

// newKey is what the specification and the URI say together.
func (k *place) newKey(spec key.Spec, algorithm key.Algorithm) (p11.NewKey, error) {
	var n p11.NewKey
	if id, ok := k.uri.Get(p11.AttrID); ok {
		if id == "" {
			return n, problem.New(problem.Usage, "the ID of the new key is empty").
				Because("Without id= in the URI, the ID is made of the public key. Name the key by its label: object=LABEL.")
		}
		n.ID = []byte(id)
	}
	label, named := k.uri.Get(p11.AttrObject)
	if named && spec.Label != "" && spec.Label != label {
		return n, problem.New(problem.Usage, "the new key has two labels").
			Because("The URI has %q, and %q was given apart from it.", label, spec.Label).
			Advise(advice.Repeat().Without(advice.Label))
	}
	if n.Label = label; !named {
		n.Label = spec.Label
	}
	able := []key.Usage{key.Sign, key.Derive}
	if _, rsa := algorithm.RSABits(); rsa {
		able = []key.Usage{key.Sign, key.Decrypt}
	} else if algorithm == key.Ed25519 {
		able = []key.Usage{key.Sign}
	} else if algorithm == key.X25519 {
		able = []key.Usage{key.Derive}
	}
	usages := spec.Usage
	if len(usages) == 0 {
		usages = able
	}
	for _, usage := range usages {
		if !slices.Contains(able, usage) {
			return n, problem.New(problem.NotSupported, "%s keys cannot %s", algorithm, usage).
				Because("RSA keys sign and decrypt, NIST curve keys sign and derive, Ed25519 keys sign, X25519 keys derive.").
				Advise(advice.Repeat().Without(advice.Usage))
		}
	}
	n.Sign, n.Decrypt, n.Derive = slices.Contains(usages, key.Sign), slices.Contains(usages, key.Decrypt), slices.Contains(usages, key.Derive)
	return n, nil
}

// replaced is the key that the new one comes in the place of, nil for none. One
// that Occupant did not tell of, because it was hidden before the login, is not
// overwritten.
func (k *place) replaced(ctx context.Context) (*p11.StoredKey, error) {
	old, err := k.stored(ctx)
	if err != nil || old == nil {
		return nil, err
	}
	if old.Public == nil {
		return nil, k.taken(old)
	}
	if k.seen == nil || !pubkey.Same(k.seen, old.Public) {
		return nil, k.taken(old)
	}
	return old, nil
}

// changedMeanwhile is the error of what is not there any more as somebody saw it.
func changedMeanwhile(what string) error {
	return key.ChangedMeanwhile(what, "the token", tokenUntouched)
}

func (k *place) taken(by *p11.StoredKey) error {
	p := problem.New(problem.Refused, "a key with this ID or label already exists").Advise(k.show())
	if by.Public == nil {
		return p.Because("That key is %s; the token does not report its public key.", k.session.URI(*by))
	}
	return p.Because("It is %s, the %s key %s.", k.session.URI(*by), key.AlgorithmOf(by.Public), pubkey.Fingerprint(by.Public))
}

// free refuses an ID or a label that another object has: programs find the key
// of a certificate by the ID.
func (k *place) free(n p11.NewKey, old *p11.StoredKey, expected crypto.PublicKey) error {
	id := n.ID
	if id == nil && expected != nil {
		id = p11.KeyID(expected)
	}
	for i := range k.contents.Keys {
		other := &k.contents.Keys[i]
		if old != nil && pubkey.Same(other.Public, old.Public) {
			continue
		}
		if len(id) > 0 && bytes.Equal(other.ID, id) || n.Label != "" && other.Label == n.Label ||
			expected != nil && pubkey.Same(other.Public, expected) {
			return k.taken(other)
		}
	}
	for _, c := range k.contents.Certificates {
		if len(n.ID) > 0 && bytes.Equal(c.ID, n.ID) && (expected == nil || !c.Matches(expected)) &&
			(old == nil || !c.Matches(old.Public)) {
			return problem.New(problem.Refused, "a certificate for another key already has this ID").
				Because("Programs would use it for the new key.").
				Advise(k.show())
		}
	}
	return nil
}

// Delete removes the private and the public key. The certificate stays: remove
// it before, while the key names it.
func (k *place) Delete(ctx context.Context) error {
	what := k.ref.String()
	if err := k.login(ctx); err != nil {
		return key.Explain(err, what, tokenUntouched)
	}
	stored, err := k.needed(ctx)
	if err != nil {
		return key.Explain(err, what, tokenUntouched)
	}
	if k.seen != nil && !pubkey.Same(stored.Public, k.seen) {
		return changedMeanwhile(what + ": the key has changed since it was read")
	}
	k.forget()
	k.seen = nil
	if err := k.session.DeleteKey(ctx, *stored); err != nil {
		return key.Explain(err, what, "It is not known whether the key is still on the token.")
	}
	contents, err := k.read(ctx, p11.Names{ID: stored.ID, Label: stored.Label, Public: stored.Public})
	if err != nil {
		return err
	}
	for _, other := range contents.Keys {
		if pubkey.Same(other.Public, stored.Public) && stored.Public != nil {
			return problem.New(problem.Failed, "%s: the token confirmed the deletion, but still has the key", what).Advise(k.show())
		}
	}
	return nil
}
