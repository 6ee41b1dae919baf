package provision

import (
	"context"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	cardinit "github.com/cardctl/cardctl/internal/init"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/pin"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

const notKnown = "it is not known whether the card has it"

// surveyPending is for a secret of which a cut left it open whether the card has it. Where
// the card tells, or another secret sets it, nothing is guessed.
func (w *work) surveyPending(ctx context.Context, one *wanted, name string) error {
	if preset, can := w.card.(card.Preset); can {
		has, told, err := preset.HasPreset(ctx, one.name)
		switch {
		case err != nil:
			return err
		case told && has:
			w.would(name, "the card does not have it yet", func(ctx context.Context) error { return w.set(ctx, one) })
			return nil
		case told:
			w.would(name, "the card has it", func(ctx context.Context) error { return w.entry.Has(ctx, w.pending(one.name).ID) })
			return nil
		}
	}
	switch {
	case one.role == pin.ResetCode && w.purse.ready(secret.AdminPIN):
		w.would(name, notKnown, func(ctx context.Context) error { return w.set(ctx, one) })
		return nil
	case one.role == pin.User && w.unblocks():
		w.would(name, notKnown, func(ctx context.Context) error { return w.setBy(ctx, one, w.unblock) })
		return nil
	case one.generate != nil && !w.run.readable(w.pending(one.name)):
		return w.needsIdentity(name, "it is not known whether the card has its new "+one.name.Words())
	}
	w.would(name, notKnown, func(ctx context.Context) error { return w.settle(ctx, one) })
	return nil
}

// would adds a step without anything to tell.
func (w *work) would(name, detail string, do func(context.Context) error) {
	w.add(step{name: name, result: Would, detail: detail, do: func(ctx context.Context) (string, error) { return "", do(ctx) }})
}

// unblocks reports whether another secret, which is known, gives the user PIN a new value.
func (w *work) unblocks() bool {
	able, can := w.card.(card.Unblocker)
	return can && w.purse.ready(able.UnblockedBy()[0])
}

func (w *work) unblock(ctx context.Context, one *wanted) error {
	return cardinit.UnblockPINOn(ctx, w.here, w.card, one.role)
}

// needsIdentity is the error of a card that only who reads the ledger goes on with.
func (w *work) needsIdentity(name, what string) error {
	w.add(step{name: name, result: Failed, detail: what})
	w.list()
	return problem.New(problem.Refused, "%s: %s", w.name(), what).
		Because("It is sealed in the ledger. If nobody can read it, mark %s in the ledger as damaged, with its certificates revoked, and start it again with init: always in the plan.", w.report.Serial).
		Advise(advice.Repeat(advice.Fill(advice.Identity)))
}

// needsReader is the error of a card for which somebody has to be there who reads the ledger.
func (w *work) needsReader(name, what string) error {
	w.add(step{name: name, result: Failed, detail: what})
	w.list()
	return problem.New(problem.Refused, "%s: %s", w.name(), what).Because("Somebody has to be there who can read it.").
		Advise(advice.Repeat(advice.Fill(advice.Identity)))
}

// unchangeable is why the card cannot change a secret; nil if it can.
func (w *work) unchangeable(ctx context.Context, one *wanted) error {
	if one.role == "" {
		return nil
	}
	if err := cardinit.CanSetPINOn(ctx, w.card, one.role); problem.Is(err, problem.NotSupported) {
		return err
	}
	return nil
}

// staysRevealed is the error of a card that cannot change a secret which was revealed, and why.
func (w *work) staysRevealed(one *wanted, name string, why error) error {
	what := "the " + one.name.Words() + " was revealed, and cannot be changed"
	w.add(step{name: name, result: Failed, detail: what})
	w.list()
	return problem.New(problem.NotSupported, "%s: %s", w.name(), what).
		Because("%s To give it another one, mark the card as damaged, and start it again with init: always.", problem.Sentence(why.Error())).
		Advise(advice.Do(advice.ShowLedger).On(w.serial))
}

// settle finds out whether the card has a secret: it is changed to itself. If that is
// refused, it is changed from what the card had before. The ledger is told of the refusal
// after that: whoever is stopped between the two costs the card another try. Then the card
// has lost one, and what it had before is sent first: with the new one, it has all of them.
func (w *work) settle(ctx context.Context, one *wanted) error {
	pending := w.pending(one.name)
	if err := w.expected(ctx, one, pending); err != nil {
		return err
	}
	if !one.differs(pending) && w.lost(ctx, one) {
		return w.give(ctx, one)
	}
	w.purse.has[one.name] = one.value.Clone()
	err := w.give(ctx, one)
	if !incorrect(err) || !unchanged(err) {
		return err
	}
	w.purse.has[one.name].Wipe()
	delete(w.purse.has, one.name)
	sent := one.role == "" || w.another(ctx, one) // a management key has no tries
	if !sent || one.differs(pending) {
		one.sealed = 0
		if missing := w.entry.Lacks(ctx, pending.ID); missing != nil || !sent {
			return errors.Join(err, missing)
		}
	}
	return w.set(ctx, one)
}

// give has the card change to a secret that is sealed, and notes that it has it.
func (w *work) give(ctx context.Context, one *wanted) error {
	if err := w.change(ctx, one, w.setPIN); err != nil {
		return err
	}
	return w.isSet(ctx, one)
}

// lost reports whether a PIN has lost tries, and one more would leave the last one.
func (w *work) lost(ctx context.Context, one *wanted) bool {
	p := w.counted(ctx, one)
	if p == nil {
		return false
	}
	tries, err := p.Tries(ctx, false)
	return err == nil && tries.LastButOne()
}

// expected is the value that the card may have.
func (w *work) expected(ctx context.Context, one *wanted, pending *ledger.Sealed) (err error) {
	one.sealed = pending.ID
	if one.generate == nil { // the plan has it
		_, err = w.purse.target(ctx, one)
		return err
	}
	one.value, err = w.unseal(ctx, pending, secret.Request{Name: one.name})
	return err
}

// another says that another value of a PIN is sent after one that was wrong.
func (w *work) another(ctx context.Context, one *wanted) bool {
	p := w.counted(ctx, one)
	if p != nil {
		w.here.Keys.Policy.Another(*p)
	}
	return p != nil
}

// counted is the PIN of the card that is a secret of the plan; nil if it cannot be found.
func (w *work) counted(ctx context.Context, one *wanted) *pin.PIN {
	if one.role == "" {
		return nil
	}
	pins, err := w.card.PINs(ctx)
	if err != nil {
		return nil
	}
	i := slices.IndexFunc(pins, func(p pin.PIN) bool { return p.Role == one.role })
	if i < 0 {
		return nil
	}
	return &pins[i]
}
