package provision

import (
	"context"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// order is that in which secrets are set: what opens the others is last.
var order = []secret.Name{secret.PIN, secret.ResetCode, secret.PUK, secret.ManagementKey, secret.SOPIN, secret.AdminPIN}

// surveyPINs finds out which PINs are to be set. They are the last steps: until then the
// card has those of the factory.
func (w *work) surveyPINs(erases bool) error {
	if w.plan.ManagementKey != nil && w.plan.ManagementKey.Protect {
		w.protect(erases)
	}
	for _, name := range order {
		one := w.purse.wanted[name]
		if one == nil || !one.sets() {
			continue
		}
		if err := w.surveyPIN(one, erases); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) surveyPIN(one *wanted, erases bool) error {
	name := "set " + one.name.Words()
	_, presets := w.card.(card.Preset)
	kept, pending := w.kept(one.name), w.pending(one.name)
	switch {
	case erases && !presets:
		return nil // initialising sets it
	case pending != nil && !erases:
		return w.surveyPending(one, name)
	case kept != nil && !kept.Revealed && !erases:
		w.already(name, "")
		return nil
	case kept != nil && !erases && w.run.o.Unseal == nil && len(kept.Blob) > 0:
		return w.needsIdentity(name, "the "+one.name.Words()+" was revealed, and is to be changed")
	case kept == nil && !w.purse.preset && !erases && one.current.IsZero():
		if one.generate != nil {
			return w.wrong(name, "the "+one.name.Words()+" of this card is not known",
				"The ledger does not have it. A card that is in use is given out again with init: always, or with its PINs as current.")
		}
		w.add(step{name: name, result: Already, detail: "used as the plan gives it; not verified"})
		return nil
	}
	w.add(step{name: name, result: Would, do: func(ctx context.Context) (string, error) { return "", w.set(ctx, one) }})
	return nil
}

// surveyPending is for a secret of which a cut left it open whether the card has it.
func (w *work) surveyPending(one *wanted, name string) error {
	if one.generate == nil { // the plan has it
		w.add(step{name: name, result: Would, detail: "it is not known whether the card has it", do: func(ctx context.Context) (string, error) {
			value, err := w.purse.target(ctx, one)
			if err != nil {
				return "", err
			}
			return "", w.settle(ctx, one, value)
		}})
		return nil
	}
	if w.run.o.Unseal == nil {
		return w.needsIdentity(name, "it is not known whether the card has its new "+one.name.Words())
	}
	w.add(step{name: name, result: Would, detail: "it is not known whether the card has it", do: func(ctx context.Context) (string, error) {
		value, err := w.unseal(ctx, w.pending(one.name), secret.Request{Name: one.name})
		if err != nil {
			return "", err
		}
		one.value = value
		return "", w.settle(ctx, one, value)
	}})
	return nil
}

// needsIdentity is the error of a card that only who reads the ledger goes on with.
func (w *work) needsIdentity(name, what string) error {
	w.add(step{name: name, result: Failed, detail: what})
	w.list()
	return problem.New(problem.Refused, "%s: %s", w.name(), what).
		Because("It is sealed in the ledger. Without somebody who can read it, the card is marked as damaged, what it got is revoked, and it is started again with init: always.").
		Advise(advice.Repeat(advice.Fill(advice.Identity)))
}

// settle finds out whether the card has a secret already: it is changed to itself. If that
// is refused, it is changed from what the card had before.
func (w *work) settle(ctx context.Context, one *wanted, value *secret.Bytes) error {
	pending := w.pending(one.name)
	one.sealed = pending.ID
	w.purse.has[one.name] = value.Clone()
	err := w.change(ctx, one, value)
	if problem.Is(err, problem.PINIncorrect) && w.tries(ctx, one) {
		delete(w.purse.has, one.name)
		w.purse.preset = true
		err = w.change(ctx, one, value)
	}
	if err != nil {
		return err
	}
	return w.isSet(ctx, one, value)
}

// tries says that another value of a PIN may be sent after one that was wrong.
func (w *work) tries(ctx context.Context, one *wanted) bool {
	pins, err := w.card.PINs(ctx)
	if err != nil {
		return false
	}
	for _, p := range pins {
		if p.Role == one.role {
			w.here.Keys.Policy.Another(p)
			return true
		}
	}
	return false
}

// set gives the card a new secret: sealed before, and noted after it.
func (w *work) set(ctx context.Context, one *wanted) error {
	value, err := w.purse.target(ctx, one)
	if err != nil {
		return err
	}
	if err := w.seal(ctx, one); err != nil {
		return err
	}
	if err := w.change(ctx, one, value); err != nil {
		return err
	}
	return w.isSet(ctx, one, value)
}

// change has the card change a secret.
func (w *work) change(ctx context.Context, one *wanted, value *secret.Bytes) error {
	w.purse.next = value
	defer func() { w.purse.next = nil }()
	if one.role != "" {
		return cardinit.SetPINOn(ctx, w.here, w.card, one.role)
	}
	able, ok := w.card.(card.Manageable)
	if !ok {
		return problem.New(problem.NotSupported, "this card has no management key")
	}
	_, err := able.SetManagementKey(ctx, card.NewManagementKey{Algorithm: w.plan.ManagementKey.Algorithm, Touch: w.plan.ManagementKey.Touch})
	return err
}

// isSet notes that the card has a secret.
func (w *work) isSet(ctx context.Context, one *wanted, value *secret.Bytes) error {
	old := w.purse.has[one.name]
	w.purse.has[one.name] = value.Clone()
	old.Wipe()
	if err := w.entry.Has(ctx, one.sealed); err != nil {
		return errors.Join(problem.Wrap(problem.Failed, err, "the card has its new "+one.name.Words()+", and the ledger does not know it"))
	}
	return nil
}

// protect has the card keep a random management key, which the PIN opens.
func (w *work) protect(erases bool) {
	const name = "protect management key"
	if kept := w.kept(secret.ManagementKey); kept != nil && !erases {
		w.already(name, "")
		return
	}
	key := w.plan.ManagementKey
	w.add(step{name: name, result: Would, do: func(ctx context.Context) (string, error) {
		able, ok := w.card.(card.Manageable)
		if !ok {
			return "", problem.New(problem.NotSupported, "this card has no management key")
		}
		id, err := w.entry.Given(ctx, secret.ManagementKey)
		if err != nil {
			return "", err
		}
		if _, err := able.SetManagementKey(ctx, card.NewManagementKey{Protect: true, Algorithm: key.Algorithm, Touch: key.Touch}); err != nil {
			return "", err
		}
		w.purse.has[secret.ManagementKey] = secret.New([]byte(secret.StoredOnCard))
		return "", w.entry.Has(ctx, id)
	}})
}

// lengths refuses a generated secret that the kind of card does not take.
func lengths(f card.Family, p *plan.Plan) error {
	for _, s := range newPurse(nil, p).wanted {
		if s.generate == nil || s.role == "" {
			continue
		}
		if !slices.Contains(f.Roles, s.role) {
			return problem.New(problem.Usage, "%s has no %s", f.Kind, s.name.Words()).Because("The plan says pins.%s.", s.role)
		}
		if f.Lengths == nil {
			continue
		}
		if least, most := f.Lengths(s.role); s.generate.Count < least || most > 0 && s.generate.Count > most {
			return problem.New(problem.Usage, "the %s of this kind of card cannot have %d characters", s.name.Words(), s.generate.Count).
				Because("%s", between(least, most))
		}
	}
	return nil
}
