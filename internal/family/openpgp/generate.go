package openpgp

import (
	"cmp"
	"context"
	"crypto"
	"errors"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// Generate makes the key and then writes its time and, last of all, its
// fingerprint: a slot with a key and no fingerprint is one that was interrupted,
// and is finished instead of made again.
func (k *slotKey) Generate(ctx context.Context, spec key.Spec) (*key.Generated, error) {
	what := "gen-key " + k.ref.String()
	if err := k.checkSpec(spec); err != nil {
		return nil, err
	}
	before, err := k.look(ctx)
	if err != nil {
		return nil, err
	}
	_, data, err := k.data(ctx)
	if err != nil {
		return nil, explain(err, what, "")
	}
	if o := before.occupant; o != nil && o.Unfinished && data.Key(k.slot).State == app.KeyGenerated &&
		(spec.Algorithm == "" || spec.Algorithm == o.Algorithm) {
		if err := k.unlock(ctx, app.PW3); err != nil {
			return nil, explain(err, what, stateUntouched)
		}
		made, state, err := k.finish(ctx, before.public, app.KeyGenerated)
		if err == nil {
			made.Finished = true
		}
		return made, explain(err, what, state)
	}
	possible, err := candidates(data, k.slot, spec.Algorithm)
	if err == nil {
		err = k.unlock(ctx, app.PW3)
	}
	if err != nil {
		return nil, explain(err, what, stateUntouched)
	}
	var public crypto.PublicKey
	var now after
	var algorithm key.Algorithm
	for _, algorithm = range possible {
		now = after{}
		if err = k.prepare(ctx, algorithm); err == nil {
			public, now, err = k.make(ctx, before)
		}
		if !cannot(err) || now.made {
			break
		}
	}
	if err != nil {
		if now.state == "" {
			now = k.after(ctx, err, before)
		}
		return nil, withoutReplace(explain(k.explainRefusal(ctx, err, algorithm), what, now.state), now)
	}
	made, state, err := k.finish(ctx, public, app.KeyGenerated)
	return made, explain(err, what, state)
}

// make has the card make the key. An answer about lengths says nothing of the
// key: the key that is there afterwards, and was not before, is the new one.
func (k *slotKey) make(ctx context.Context, before *before) (crypto.PublicKey, after, error) {
	selected, err := k.application(ctx)
	if err != nil {
		return nil, after{}, err
	}
	k.access.Notify("generating the key on the card")
	k.changing(k.slot)
	public, err := selected.Generate(ctx, k.slot)
	if !unexpected(err) {
		return public, after{}, err
	}
	now := k.after(ctx, err, before)
	if now.made && iso7816.StatusOf(err)>>8 == 0x6C {
		return now.public, now, nil
	}
	return nil, now, err
}

func (k *slotKey) Import(ctx context.Context, private crypto.PrivateKey, spec key.Spec) (*key.Generated, error) {
	what := "import-key " + k.ref.String()
	if err := k.checkSpec(spec); err != nil {
		return nil, err
	}
	_, data, err := k.data(ctx)
	if err != nil {
		return nil, explain(err, what, "")
	}
	if !data.Extended.KeyImport {
		return nil, problem.New(problem.NotSupported, "%s: this card does not support importing keys", what).
			Because("Its keys can only be generated on the card.").
			Advise(advice.Do(advice.GenerateKey, advice.Set(advice.Key, k.ref.Text)))
	}
	withPublic, ok := private.(interface{ Public() crypto.PublicKey })
	if !ok {
		return nil, problem.New(problem.NotSupported, "%s: a %T cannot be imported", what, private)
	}
	public := withPublic.Public()
	before, err := k.look(ctx)
	if err != nil {
		return nil, err
	}
	algorithm := key.AlgorithmOf(public)
	if err := app.Importable(private); err != nil {
		return nil, key.Wrap(problem.NotSupported, err, what+": no OpenPGP card takes this key", "An RSA key needs two primes of equal length.").
			Advise(advice.Do(advice.GenerateKey, advice.Set(advice.Key, k.ref.Text)))
	}
	err = checkAlgorithm(data, k.slot, algorithm)
	if err == nil {
		err = k.unlock(ctx, app.PW3)
	}
	if err != nil {
		return nil, explain(err, what, stateUntouched)
	}
	if err = k.prepare(ctx, algorithm); err == nil {
		err = k.put(ctx, private, before)
	}
	if err != nil {
		now := k.after(ctx, err, before)
		return nil, withoutReplace(explain(k.explainRefusal(ctx, err, algorithm), what, now.state), now)
	}
	selected, err := k.application(ctx)
	if err != nil {
		return nil, explain(err, what, stateMade)
	}
	stored, err := selected.PublicKey(ctx, k.slot)
	if err == nil && !pubkey.Same(stored, public) {
		return nil, problem.New(problem.Mismatch, "%s: the key on the card is not the one that was sent", what).
			Because("The card reports another public key. Do not use this slot.")
	}
	if err != nil {
		return nil, explain(err, what, stateMade)
	}
	made, state, err := k.finish(ctx, public, app.KeyImported)
	return made, explain(err, what, state)
}

// withoutReplace advises the same command without the name of a key that is gone.
func withoutReplace(err error, now after) error {
	var p *problem.Error
	if (now.state == stateGone || now.state == stateEmptied) && errors.As(err, &p) && p.Next.IsZero() {
		p.Advise(advice.Repeat().Without(advice.Replace))
	}
	return err
}

// put sends the private key.
func (k *slotKey) put(ctx context.Context, private crypto.PrivateKey, before *before) error {
	selected, data, err := k.data(ctx)
	if err != nil {
		return err
	}
	if !slices.Equal(before.attributes, data.Key(k.slot).Attributes) {
		selected.Forget() // a card may complete what it is given, and want the public key too
	}
	k.changing(k.slot)
	return selected.Import(ctx, k.slot, private)
}

// explainRefusal tells a card that has no such keys from one that does not know
// the command: some keep attributes of algorithms that they do not have.
func (k *slotKey) explainRefusal(ctx context.Context, err error, algorithm key.Algorithm) error {
	if iso7816.StatusOf(err) != iso7816.StatusFunctionNotSupported {
		return err
	}
	able, failed := k.able(ctx)
	if failed != nil {
		return failed
	}
	return k.unable(err, algorithm, able)
}

// Delete is not in the specification: a key goes when another one comes, or
// with the whole card.
func (k *slotKey) Delete(context.Context) error {
	return problem.New(problem.NotSupported, "an OpenPGP card cannot delete a key").
		Because("A key can only be replaced by a new one, or erased with the whole card.")
}

// checkSpec refuses what an OpenPGP card has no place for. What a key is for
// follows from its slot.
func (k *slotKey) checkSpec(spec key.Spec) error {
	if spec.Label != "" {
		return problem.New(problem.NotSupported, "an OpenPGP card does not store key labels").
			Because("Keys of PKCS#15 cards and PKCS#11 tokens can have one.").
			Advise(advice.Repeat().Without(advice.Label))
	}
	allowed := []key.Usage{key.Sign}
	if k.slot == app.Decryption {
		allowed = []key.Usage{key.Decrypt, key.Derive}
	}
	for _, usage := range spec.Usage {
		if !slices.Contains(allowed, usage) {
			return problem.New(problem.NotSupported, "the key %s cannot be used to %s", k.ref, usage).
				Because("On an OpenPGP card, OPENPGP.1 and OPENPGP.3 sign, and OPENPGP.2 decrypts.").
				Advise(advice.Repeat().Without(advice.Usage))
		}
	}
	return nil
}

// prepare makes the slot's attributes those of the algorithm.
func (k *slotKey) prepare(ctx context.Context, algorithm key.Algorithm) error {
	_, data, err := k.data(ctx)
	if err != nil || data.Key(k.slot).Attributes.Name() == string(algorithm) {
		return err
	}
	return k.putAttributes(ctx, data, algorithm)
}

// finish writes the generation time, reads back what the card says of the
// slot, and writes the fingerprint. What the slot has then counts, whatever the
// card answered. It tells what is on the card where it ends with an error.
func (k *slotKey) finish(ctx context.Context, public crypto.PublicKey, state app.KeyState) (*key.Generated, string, error) {
	k.public = public
	created := k.access.Now().UTC().Truncate(time.Second)
	fingerprint, err := app.Fingerprint(k.slot, public, created)
	if err != nil {
		return nil, stateMade, err
	}
	selected, err := k.application(ctx)
	if err != nil {
		return nil, stateMade, err
	}
	k.changing(k.slot)
	put := selected.PutCreated(ctx, k.slot, created)
	if put != nil && !unexpected(put) {
		return nil, stateMade, put
	}
	_, data, err := k.again(ctx)
	if err != nil {
		return nil, stateMade, err
	}
	stored := data.Key(k.slot)
	if !stored.Created.Equal(created) || stored.State != app.KeyStateUnknown && stored.State != state ||
		key.Algorithm(stored.Attributes.Name()) != key.AlgorithmOf(public) {
		return nil, stateMade, cmp.Or(put, app.ErrNotStored)
	}
	k.changing(k.slot)
	put = selected.PutFingerprint(ctx, k.slot, fingerprint)
	if unexpected(put) {
		_, data, err = k.again(ctx)
		if err != nil {
			return nil, stateNamed, put
		}
		if data.Key(k.slot).Fingerprint == fingerprint {
			put = nil
		}
	}
	if put != nil && iso7816.StatusOf(put) == 0 {
		return nil, stateNamed, put
	}
	if put != nil {
		return nil, stateMade, put
	}
	return &key.Generated{
		Occupant: key.Occupant{
			Fingerprint: fingerprintWord(fingerprint), Algorithm: key.AlgorithmOf(public), Created: created, Touch: stored.Touch(),
			TouchPolicy: touchWord(stored.Interaction), Origin: origins[stored.State],
		},
		Public: public, Keygrip: key.Keygrip(public), OnlyPKCS1: pubkey.IsRSA(public),
	}, "", nil
}
