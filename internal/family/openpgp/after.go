package openpgp

import (
	"context"
	"crypto"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/pubkey"
)

// toFinish is what to do about a card on which something was begun.
const toFinish = " Run the same command again to finish."

// What is on the card when making or importing a key ends half way.
const (
	stateUntouched = key.Untouched
	stateSame      = "The previous key is still in the slot."
	stateEmptied   = "The slot is empty, and the previous key is lost."
	stateGone      = "The slot was prepared for the new algorithm, and the previous key is lost."
	statePrepared  = "The slot was prepared for the new algorithm and holds no key."
	stateMade      = "The new key is in the slot but has no fingerprint yet." + toFinish
	stateComplete  = "The new key is in the slot."

	// What is in the slot could not be read.
	stateNamed           = "The new key is in the slot, but it is not known whether it has its fingerprint." + toFinish
	stateUnknown         = "It is not known what is in the slot: nothing, or the new key without its fingerprint." + toFinish
	stateUnknownReplaced = "It is not known what is in the slot: the previous key, nothing, or the new key, whatever fingerprint is shown." + toFinish
)

// before is what is in a slot when a command begins that changes it.
type before struct {
	occupant   *key.Occupant
	public     crypto.PublicKey // nil where it was not told
	attributes app.Attributes
}

// after is what is in it when that ended with an error.
type after struct {
	made   bool // there is another key than before, for certain
	public crypto.PublicKey
	state  string
}

// look reads what is in the slot: of one with a key the public key too, by which
// alone it is known afterwards whether that is still there.
func (k *slotKey) look(ctx context.Context) (*before, error) {
	occupant, err := k.Occupant(ctx)
	if err != nil {
		return nil, err
	}
	_, data, err := k.data(ctx)
	if err != nil {
		return nil, k.explain(err, "")
	}
	found := &before{occupant: occupant, attributes: data.Key(k.slot).Attributes}
	if occupant == nil {
		return found, nil
	}
	if found.public, err = k.Public(ctx); err != nil && key.Unreachable(ctx, err) {
		return nil, err
	}
	return found, nil
}

// after is the one judgement of what a slot is when a command that changes it
// ended with err: it is read again.
func (k *slotKey) after(ctx context.Context, err error, was *before) after {
	unknown := after{state: stateUnknown}
	if was.occupant != nil {
		unknown.state = stateUnknownReplaced
	}
	if key.Unreachable(ctx, err) {
		return unknown
	}
	selected, data, err := k.again(ctx)
	if err != nil {
		return unknown
	}
	slot := data.Key(k.slot)
	prepared := !slices.Equal(was.attributes, slot.Attributes)
	public, err := selected.PublicKey(ctx, k.slot)
	k.public = public
	switch there := err == nil; {
	case !there && (!errors.Is(err, app.ErrNoKey) || slot.State > app.KeyAbsent):
		return unknown
	case !there && was.occupant != nil && !prepared:
		return after{state: stateEmptied}
	case !there && was.occupant != nil:
		return after{state: stateGone}
	case !there && prepared:
		return after{state: statePrepared}
	case !there:
		return after{state: stateUntouched}
	case was.occupant != nil && was.public == nil:
		return unknown
	case was.public != nil && pubkey.Same(public, was.public) && prepared:
		return after{state: stateSame}
	case was.public != nil && pubkey.Same(public, was.public):
		return after{state: stateUntouched}
	}
	now := after{made: true, public: public, state: stateMade}
	if fingerprint, err := app.Fingerprint(k.slot, public, slot.Created); err == nil && fingerprint == slot.Fingerprint {
		now.state = stateComplete
	}
	return now
}
