package applet

import (
	"context"
	"fmt"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/problem"
)

// StateChange is a change of a life cycle state. That to TERMINATED does not exist:
// nothing revives such a card.
type StateChange string

// The changes, of an application and of the card.
const (
	LockApplication   StateChange = "lock"
	UnlockApplication StateChange = "unlock"
	InitialiseCard    StateChange = "initialized"
	SecureCard        StateChange = "secured"
	LockCard          StateChange = "lock-card"
	UnlockCard        StateChange = "unlock-card"
)

// StateOptions is what SetState shall do.
type StateOptions struct {
	Domain Domain
	Change StateChange

	// AID is that of the application; nil for a change of the card.
	AID gp.AID
}

// StateReport is what SetState did: the state before and after, in words.
type StateReport struct {
	Reader string `json:"reader"`
	AID    gp.AID `json:"aid,omitempty"`
	Before string `json:"before"`
	After  string `json:"after"`
}

// SetState changes the life cycle state of an application or of the card that is
// meant (11.10), and reads it back. What cannot be taken back is confirmed first. A
// state that is there already is left alone.
func SetState(ctx context.Context, d *desk.Desk, a desk.Access, o StateOptions) (report *StateReport, err error) {
	what := "applet state " + string(o.Change)
	if err := o.check(); err != nil {
		return nil, problem.Wrap(problem.Usage, err, what)
	}
	report = &StateReport{AID: o.AID}
	return report, withCard(ctx, d, a, o.Domain, func(ctx context.Context, c *card) error {
		report.Reader = c.at.Place
		w := &stateChange{card: c, o: o, report: report, state: unchanged}
		err := w.run(ctx)
		return explain(err, what, w.state)
	})
}

// check looks at what needs no card.
func (o *StateOptions) check() error {
	ofApplication := o.Change == LockApplication || o.Change == UnlockApplication
	switch {
	case ofApplication:
		return o.AID.Check()
	case o.Change.target() == 0:
		return problem.New(problem.Usage, "unknown state %q", o.Change)
	}
	return nil
}

// target is the state of the card that a change leads to, 0 for none.
func (c StateChange) target() gp.LifeCycle {
	return map[StateChange]gp.LifeCycle{
		InitialiseCard: gp.CardInitialized, SecureCard: gp.CardSecured, UnlockCard: gp.CardSecured, LockCard: gp.CardLocked,
	}[c]
}

// from are the states of the card that a change is possible in (5.1.1).
func (c StateChange) from() []gp.LifeCycle {
	return map[StateChange][]gp.LifeCycle{
		InitialiseCard: {gp.CardReady}, SecureCard: {gp.CardInitialized}, UnlockCard: {gp.CardLocked}, LockCard: {gp.CardSecured},
	}[c]
}

// stateChange is one run of SetState.
type stateChange struct {
	*card
	o      StateOptions
	report *StateReport
	state  string

	now gp.Entry // what is changed, as the card had it
}

func (w *stateChange) run(ctx context.Context) error {
	if err := w.connect(ctx); err != nil {
		return err
	}
	if err := w.confirm(ctx, w.look); err != nil {
		return err
	}
	w.report.Before, w.report.After = w.now.State(), w.now.State()
	if w.done(&w.now) {
		return nil
	}
	err := w.set(ctx)
	if err != nil && unclear(err) {
		// What the card did is what it shows afterwards.
		if w.state = "It is not known whether the card changed the state."; w.reopen(ctx) != nil {
			return err
		}
	} else if err != nil {
		return err
	} else {
		w.state = "The card confirmed the change of the state."
	}
	after, read := w.entry(ctx)
	if read != nil {
		if err == nil {
			err = read
		}
		return err
	}
	w.report.After = after.State()
	switch {
	case w.done(after):
		return nil
	case err != nil:
		w.state = fmt.Sprintf("The state is still %s.", after.State())
		return err
	}
	return problem.New(problem.Failed, "the card confirmed the change, and the state is %s", after.State()).Advise(advice.Do(advice.ListApplets))
}

// look reads the state, and words the question for what cannot be taken back.
func (w *stateChange) look(ctx context.Context) (wording, error) {
	now, err := w.entry(ctx)
	if err != nil {
		return nil, err
	}
	w.now = *now
	if w.done(now) || w.o.AID != nil {
		return nil, nil
	}
	if !slices.Contains(w.o.Change.from(), now.LifeCycle) {
		return nil, problem.New(problem.NotSupported, "the card is in the state %s", now.State()).
			Because("A card goes from OP_READY to INITIALIZED to SECURED; a secured card can be locked, and a locked one unlocked.").
			Advise(advice.Do(advice.ListApplets))
	}
	if w.o.Change == LockCard || w.o.Change == UnlockCard {
		return nil, nil
	}
	target := gp.Entry{Kind: gp.IssuerDomain, LifeCycle: w.o.Change.target()}
	return func(card string) advice.Question {
		return advice.Question{
			Deed: "Set the state " + target.State() + " of", Subject: card,
			Lost: "The card cannot go back to " + now.State() + ".",
		}
	}, nil
}

// entry is what is changed, as the card has it now.
func (w *stateChange) entry(ctx context.Context) (*gp.Entry, error) {
	kind := gp.Application
	if w.o.AID == nil {
		kind = gp.IssuerDomain
	}
	var r registry
	entries, err := r.read(ctx, w.domain, kind, w.o.AID)
	if err != nil {
		return nil, err
	}
	if w.o.AID == nil && len(entries) > 0 {
		return &entries[0], nil
	}
	if found := find(entries, w.o.AID); found != nil {
		return found, nil
	}
	if w.o.AID != nil && w.o.AID.Equal(w.domain.AID()) {
		return nil, problem.New(problem.Usage, "%s is the security domain itself", w.o.AID).
			Because("Its state is that of the card: initialized, secured, lock-card, unlock-card.").Advise(advice.Do(advice.ListApplets))
	}
	if w.o.AID == nil {
		return nil, problem.New(problem.NotSupported, "this security domain does not report the state of the card").
			Because("Only the issuer's security domain manages it.").Advise(advice.Do(advice.ListApplets))
	}
	return nil, problem.New(problem.NotFound, "the card has no application %s", w.o.AID).Advise(advice.Do(advice.ListApplets))
}

// done reports whether an entry is as it shall be.
func (w *stateChange) done(e *gp.Entry) bool {
	switch w.o.Change {
	case LockApplication:
		return e.Locked()
	case UnlockApplication:
		return !e.Locked()
	}
	return e.LifeCycle == w.o.Change.target()
}

func (w *stateChange) set(ctx context.Context) error {
	switch w.o.Change {
	case LockApplication:
		return w.domain.Lock(ctx, w.o.AID)
	case UnlockApplication:
		return w.domain.Unlock(ctx, w.o.AID)
	}
	return w.domain.SetCardState(ctx, w.o.Change.target())
}
