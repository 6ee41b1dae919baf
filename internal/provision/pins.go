package provision

import (
	"context"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/card"
	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// order is that in which secrets are set: what opens the others is last.
var order = []secret.Name{secret.PIN, secret.ResetCode, secret.PUK, secret.ManagementKey, secret.SOPIN, secret.AdminPIN}

// surveyPINs finds out which PINs are to be set. They are the last steps: until then the
// card has those of the factory.
func (w *work) surveyPINs(ctx context.Context, erases bool) error {
	if w.plan.ManagementKey != nil && w.plan.ManagementKey.Protect {
		w.protect(erases)
	}
	for _, name := range order {
		one := w.purse.wanted[name]
		if one == nil || !one.sets() {
			continue
		}
		if err := w.surveyPIN(ctx, one, erases); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) surveyPIN(ctx context.Context, one *wanted, erases bool) error {
	name := "set " + one.name.Words()
	_, presets := w.card.(card.Preset)
	kept, pending := w.kept(one.name), w.pending(one.name)
	var stays error // why a secret that was revealed cannot be changed
	if kept != nil && kept.Revealed && !erases {
		stays = w.unchangeable(ctx, one)
	}
	switch {
	case erases && !presets:
		return nil // initialising sets it
	case pending != nil && !erases:
		return w.surveyPending(ctx, one, name)
	case kept != nil && !erases && one.current.IsZero() && one.differs(kept):
		return w.wrong(name, "the card has another "+one.name.Words()+" than the plan gives", origin(kept))
	case kept != nil && kept.Keep != ledger.KeepFactory && !kept.Revealed && !erases:
		w.already(name, "")
		return nil
	case stays != nil:
		return w.staysRevealed(one, name, stays)
	case kept != nil && !erases && !w.run.readable(kept):
		return w.needsReader(name, "the "+one.name.Words()+" was revealed, and is to be changed")
	case kept == nil && one.role == pin.ResetCode && w.purse.ready(secret.AdminPIN): // that sets it
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

// differs reports whether the card certainly has another secret than the plan says: one
// that was generated, and not given, or the other way round.
func (s *wanted) differs(kept *ledger.Sealed) bool {
	switch kept.Keep {
	case ledger.KeepFactory:
		return false
	case ledger.KeepElsewhere:
		return s.generate != nil
	}
	return s.generate == nil
}

// origin is where a secret of the ledger comes from.
func origin(kept *ledger.Sealed) string {
	if kept.Keep == ledger.KeepElsewhere {
		return "The one that it has was given by a plan, and this plan has it generated: name the source of the old one in the field current."
	}
	return "The one that it has was generated."
}

// set gives the card a new secret: sealed before, and noted after it.
func (w *work) set(ctx context.Context, one *wanted) error { return w.setBy(ctx, one, w.setPIN) }

func (w *work) setBy(ctx context.Context, one *wanted, how func(context.Context, *wanted) error) error {
	if err := w.seal(ctx, one); err != nil {
		return err
	}
	err := w.change(ctx, one, how)
	if unchanged(err) {
		err = errors.Join(err, w.entry.Lacks(ctx, one.sealed))
		one.sealed = 0
	}
	if err != nil {
		return err
	}
	return w.isSet(ctx, one)
}

// unchanged reports whether the card certainly does not have the new secret. That a PIN was
// wrong is not enough: a card may call it so, and not have counted a try.
func unchanged(err error) bool {
	var told *pin.StateError
	if errors.As(err, &told) {
		return told.Unchanged()
	}
	return incorrect(err) || problem.Is(err, problem.PINBlocked) || problem.Is(err, problem.TriesUnknown)
}

// incorrect reports whether a PIN, or a management key, was wrong.
func incorrect(err error) bool {
	return problem.Is(err, problem.PINIncorrect) || problem.Is(err, problem.KeysIncorrect)
}

// change has the card change a secret.
func (w *work) change(ctx context.Context, one *wanted, how func(context.Context, *wanted) error) error {
	w.purse.next = one.value
	defer func() { w.purse.next = nil }()
	return how(ctx, one)
}

// setPIN has the card change a secret to the one that is next.
func (w *work) setPIN(ctx context.Context, one *wanted) error {
	if one.role != "" {
		return cardinit.SetPINOn(ctx, w.here, w.card, one.role)
	}
	_, err := cardinit.SetManagementKeyOn(ctx, w.card, card.NewManagementKey{Algorithm: w.plan.ManagementKey.Algorithm, Touch: w.plan.ManagementKey.Touch})
	return err
}

// isSet notes that the card has a secret.
func (w *work) isSet(ctx context.Context, one *wanted) error {
	old := w.purse.has[one.name]
	w.purse.has[one.name] = one.value.Clone()
	old.Wipe()
	if err := w.entry.Has(ctx, one.sealed); err != nil {
		return problem.Wrap(problem.Failed, err, "the card has its new "+one.name.Words()+", and the ledger does not know it")
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
		id, err := w.entry.Given(ctx, secret.ManagementKey)
		if err != nil {
			return "", err
		}
		if _, err := cardinit.SetManagementKeyOn(ctx, w.card, card.NewManagementKey{Protect: true, Algorithm: key.Algorithm, Touch: key.Touch}); err != nil {
			return "", err
		}
		w.purse.has[secret.ManagementKey] = secret.New([]byte(secret.StoredOnCard))
		return "", w.entry.Has(ctx, id)
	}})
}

// takes refuses a secret that the kind of card does not have, and a generated one that it
// does not take.
func takes(f card.Family, p *plan.Plan) error {
	for _, s := range wantedOf(p) {
		switch {
		case s.role == "" && !f.Managed:
			return problem.New(problem.Usage, "%s has no %s", f.Kind, s.name.Words()).Because("The plan says managementKey.")
		case s.role != "" && !slices.Contains(f.Roles, s.role):
			return problem.New(problem.Usage, "%s has no %s", f.Kind, s.name.Words()).Because("The plan says pins.%s.", s.role)
		case s.role == "", s.generate == nil, f.PINForm == nil:
			continue
		}
		form := f.PINForm(s.role)
		switch count := s.generate.Count; {
		case count < form.Least || form.Most > 0 && count > form.Most:
			return problem.New(problem.Usage, "the %s of this kind of card cannot have %d characters", s.name.Words(), count).
				Because("%s", between(form.Least, form.Most))
		case form.Digits && s.generate.Of != plan.Digits:
			return problem.New(problem.Usage, "the %s of this kind of card has digits only", s.name.Words()).
				Because("The plan says pins.%s: %d %s.", s.role, count, s.generate.Of)
		}
	}
	return nil
}
