package openpgp

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	app "github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
)

// touches are the user interaction flags in the words of the command line.
var touches = map[app.InteractionFlag]key.Touch{
	app.InteractionOff: key.TouchOff, app.InteractionOn: key.TouchOn, app.InteractionPermanent: key.TouchPermanent,
	app.InteractionCached: key.TouchCached, app.InteractionPermanentCached: key.TouchPermanentCached,
}

// origins are the states of a key in words.
var origins = map[app.KeyState]string{app.KeyGenerated: "generated", app.KeyImported: "imported"}

// touchWord is a policy, empty where the card tells none.
func touchWord(flag *app.Interaction) string {
	if flag == nil {
		return ""
	}
	return string(touches[flag.Flag])
}

// Touch is the user interaction flag of the slot.
func (k *slotKey) Touch(ctx context.Context) (key.Touch, error) {
	flag, err := k.interaction(ctx)
	if err != nil {
		return "", k.explain(err, "")
	}
	return touches[flag.Flag], nil
}

// interaction refuses a card that has none.
func (k *slotKey) interaction(ctx context.Context) (*app.Interaction, error) {
	selected, err := k.application(ctx)
	if err != nil {
		return nil, err
	}
	flag, err := selected.Interaction(ctx, k.slot)
	if err == nil && flag == nil {
		return nil, problem.New(problem.NotSupported, "%s: this card has no touch policies", k.ref).
			Because("It does not report user interaction flags.").Advise(advice.Do(advice.ShowCard))
	}
	return flag, err
}

// SetTouch writes the user interaction flag, and reads it back.
func (k *slotKey) SetTouch(ctx context.Context, policy key.Touch) error {
	what := "set-touch " + k.ref.String()
	before, err := k.interaction(ctx)
	if err == nil {
		err = k.unlock(ctx, app.PW3)
	}
	if err != nil {
		return explain(err, what, stateUntouched)
	}
	wanted := *before
	for flag, word := range touches {
		if word == policy {
			wanted.Flag = flag
		}
	}
	selected, err := k.application(ctx)
	if err != nil {
		return explain(err, what, stateUntouched)
	}
	put := selected.PutInteraction(ctx, k.slot, wanted)
	if put != nil && iso7816.Refused(put) {
		return explain(k.explainTouch(put, policy), what, stateUntouched)
	}
	now, err := k.readTouch(ctx)
	switch {
	case err != nil && put != nil:
		return explain(put, what, "It is not known whether the touch policy is "+string(policy)+"."+toFinish)
	case err != nil:
		return explain(err, what+": reading back", "The card confirmed the touch policy.")
	case now.Flag == wanted.Flag:
		return nil
	case put != nil:
		return explain(put, what, "The touch policy is "+string(touches[now.Flag])+".")
	}
	return explain(app.ErrNotStored, what, "The touch policy is "+string(touches[now.Flag])+".")
}

func (k *slotKey) readTouch(ctx context.Context) (*app.Interaction, error) {
	if _, _, err := k.again(ctx); err != nil {
		return nil, err
	}
	return k.interaction(ctx)
}

// explainTouch tells a card that does not know a policy from one that refuses to change
// it.
func (k *slotKey) explainTouch(refused error, policy key.Touch) error {
	status := iso7816.StatusOf(refused)
	switch status {
	case iso7816.StatusWrongData, iso7816.StatusWrongLength, iso7816.StatusFunctionNotSupported:
		p := problem.New(problem.NotSupported, "the card does not support the touch policy %s [%s]", policy, status).
			Because("Every card with touch policies supports on, off and permanent.").Advise(advice.Repeat().On(string(key.TouchOn)))
		p.Cause = refused
		return p
	}
	return refused
}
