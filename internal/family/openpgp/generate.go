package key

import (
	"context"
	"crypto"
	"fmt"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
)

// What is on the card when making or importing a key ends half way.
const (
	stateUntouched  = "Nothing on the card was changed."
	stateAttributes = "The slot was prepared for the new algorithm; a key that was in it is gone."
	stateKeyMade    = "The new key is in the slot and has no fingerprint yet; the same command again completes it."

	// The same where a key was in the slot before: cards keep its fingerprint.
	stateKeyReplaced = "The new key is in the slot, still with the fingerprint of the old one; the same command again completes it."

	// The card did not answer the command that changes the slot.
	stateUnknown         = "The card may have put the new key into the slot; the same command again completes it."
	stateUnknownReplaced = "The card may have put the new key into the slot, and then the old one is gone, whatever fingerprint is shown; the same command again completes it."
)

// stateAfter is what is on the card when a command that changes the slot ended
// with err. state was it before the command.
func stateAfter(err error, state string, occupant *Occupant) string {
	switch {
	case iso7816.StatusOf(err) != 0:
		return state
	case holdsFingerprint(occupant):
		return stateUnknownReplaced
	}
	return stateUnknown
}

// stateMade is what is on the card when the new key is in the slot.
func stateMade(occupant *Occupant) string {
	if holdsFingerprint(occupant) {
		return stateKeyReplaced
	}
	return stateKeyMade
}

// stateAttributesUnknown is what is on the card when the new attributes of a slot
// were not confirmed.
func stateAttributesUnknown(err error) string {
	if iso7816.StatusOf(err) != 0 {
		return stateUntouched
	}
	return "The slot may be prepared for the new algorithm; a key that was in it is gone then."
}

func holdsFingerprint(o *Occupant) bool { return o != nil && !o.Unfinished }

// Generate makes the key and then writes its time and, last of all, its
// fingerprint: a slot with a key and no fingerprint is one that was interrupted,
// and is finished instead of made again.
func (k *openPGPKey) Generate(ctx context.Context, spec Spec) (*Generated, error) {
	what := "gen-key " + k.ref.String()
	if err := k.checkSpec(spec); err != nil {
		return nil, err
	}
	algorithm := spec.Algorithm
	occupant, err := k.Occupant(ctx)
	if err != nil {
		return nil, err
	}
	data, err := k.card.ApplicationRelatedData(ctx)
	if err != nil {
		return nil, Explain(err, what, "")
	}
	if occupant != nil && occupant.Unfinished && data.Key(k.slot).State == openpgp.KeyGenerated &&
		(algorithm == "" || algorithm == occupant.Algorithm) {
		if err := Unlock(ctx, k.card, openpgp.PW3, k.access); err != nil {
			return nil, Explain(err, what, stateUntouched)
		}
		made, err := k.finish(ctx, k.public, openpgp.KeyGenerated)
		return made, Explain(err, what, stateKeyMade)
	}
	var public crypto.PublicKey
	var state string
	for _, algorithm = range candidates(data, k.slot, algorithm) {
		if state, err = k.prepare(ctx, algorithm); err == nil {
			k.access.Notify("making the key on the card")
			if public, err = k.card.Generate(ctx, k.slot); err != nil {
				state = stateAfter(err, state, occupant)
			}
		}
		if !cannot(err) {
			break
		}
	}
	if err != nil {
		return nil, Explain(k.explainRefusal(ctx, err, algorithm), what, state)
	}
	made, err := k.finish(ctx, public, openpgp.KeyGenerated)
	return made, Explain(err, what, stateMade(occupant))
}

func (k *openPGPKey) Import(ctx context.Context, private crypto.PrivateKey, spec Spec) (*Generated, error) {
	what := "import-key " + k.ref.String()
	if err := k.checkSpec(spec); err != nil {
		return nil, err
	}
	data, err := k.card.ApplicationRelatedData(ctx)
	if err != nil {
		return nil, Explain(err, what, "")
	}
	if !data.Extended.KeyImport {
		return nil, problem.New(problem.NotSupported, "%s: this card takes no keys from outside", what).
			Hint("cardctl gen-key --key %s makes one on the card", k.ref)
	}
	withPublic, ok := private.(interface{ Public() crypto.PublicKey })
	if !ok {
		return nil, problem.New(problem.NotSupported, "%s: a %T is no key for a card", what, private)
	}
	public := withPublic.Public()
	occupant, err := k.Occupant(ctx)
	if err != nil {
		return nil, err
	}
	state, err := k.prepare(ctx, AlgorithmOf(public))
	if err != nil {
		return nil, Explain(err, what, state)
	}
	if state == stateAttributes {
		// A card may complete what it is given, and want the public key too.
		k.card.Forget()
	}
	if err := k.card.Import(ctx, k.slot, private); err != nil {
		return nil, Explain(k.explainRefusal(ctx, err, AlgorithmOf(public)), what, stateAfter(err, state, occupant))
	}
	stored, err := k.card.PublicKey(ctx, k.slot)
	if err == nil && !SamePublic(stored, public) {
		return nil, problem.New(problem.Mismatch, "%s: the key on the card is not the one that was sent", what).
			Because("The card tells another public key. Do not use this slot.")
	}
	if err != nil {
		return nil, Explain(err, what, stateMade(occupant))
	}
	made, err := k.finish(ctx, public, openpgp.KeyImported)
	return made, Explain(err, what, stateMade(occupant))
}

// explainRefusal tells a card that has no such keys from one that does not know
// the command: some keep attributes of algorithms that they do not have.
func (k *openPGPKey) explainRefusal(ctx context.Context, err error, algorithm Algorithm) error {
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
func (k *openPGPKey) Delete(context.Context) error {
	return problem.New(problem.NotSupported, "an OpenPGP card cannot delete a key").
		Because("A key can be replaced by another one, or erased with the whole card.").
		Hint("cardctl gen-key --key %s --replace FINGERPRINT, or cardctl init", k.ref)
}

// checkSpec refuses what an OpenPGP card has no place for. What a key is for
// follows from its slot.
func (k *openPGPKey) checkSpec(spec Spec) error {
	if spec.Label != "" {
		return problem.New(problem.NotSupported, "an OpenPGP card keeps no labels of keys").Hint("leave --label away")
	}
	allowed := []Usage{Sign}
	if k.slot == openpgp.Decryption {
		allowed = []Usage{Decrypt, Derive}
	}
	for _, usage := range spec.Usage {
		if !slices.Contains(allowed, usage) {
			return problem.New(problem.NotSupported, "the key %s cannot be for %s", k.ref, usage).
				Because("On an OpenPGP card, OPENPGP.1 and OPENPGP.3 sign, OPENPGP.2 decrypts.")
		}
	}
	return nil
}

// prepare verifies the admin PIN and makes the slot's attributes those of the
// algorithm. It tells what is on the card now.
func (k *openPGPKey) prepare(ctx context.Context, algorithm Algorithm) (state string, err error) {
	data, err := k.card.ApplicationRelatedData(ctx)
	if err != nil {
		return stateUntouched, err
	}
	if err := checkAlgorithm(data, k.slot, algorithm); err != nil {
		return stateUntouched, err
	}
	if err := Unlock(ctx, k.card, openpgp.PW3, k.access); err != nil {
		return stateUntouched, err
	}
	if data.Key(k.slot).Attributes.Name() == string(algorithm) {
		return stateUntouched, nil
	}
	if err := k.putAttributes(ctx, data, algorithm); err != nil {
		return stateAttributesUnknown(err), err
	}
	return stateAttributes, nil
}

// finish writes the generation time, reads back what the card says of the
// slot, and writes the fingerprint.
func (k *openPGPKey) finish(ctx context.Context, public crypto.PublicKey, state openpgp.KeyState) (*Generated, error) {
	k.public = public
	created := k.access.Now().UTC().Truncate(time.Second)
	fingerprint, err := openpgp.Fingerprint(k.slot, public, created)
	if err != nil {
		return nil, err
	}
	if err := k.card.PutCreated(ctx, k.slot, created); err != nil {
		return nil, err
	}
	k.card.Forget()
	data, err := k.card.ApplicationRelatedData(ctx)
	if err != nil {
		return nil, err
	}
	stored := data.Key(k.slot)
	if !stored.Created.Equal(created) || stored.State != openpgp.KeyStateUnknown && stored.State != state ||
		Algorithm(stored.Attributes.Name()) != AlgorithmOf(public) {
		return nil, errNotStored
	}
	if err := k.card.PutFingerprint(ctx, k.slot, fingerprint); err != nil {
		return nil, err
	}
	return &Generated{
		Occupant: Occupant{Fingerprint: fmt.Sprintf("%X", fingerprint[:]), Algorithm: AlgorithmOf(public), Created: created},
		Public:   public, Keygrip: Keygrip(public),
	}, nil
}
