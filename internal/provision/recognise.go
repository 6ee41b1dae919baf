package provision

import (
	"context"
	"errors"
	"slices"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/problem"
)

// leftOut is a card that is never provisioned.
type leftOut struct{ error }

func (e *leftOut) Unwrap() error { return e.error }

// leavesOut is a refusal of a card as a reason to leave it out; any other error stays as it is.
func leavesOut(err error) error {
	if problem.Is(err, problem.Refused) {
		return &leftOut{err}
	}
	return err
}

// recognise finds out which card it is, and which row it is for.
func (w *work) recognise(ctx context.Context) (err error) {
	if numbered, ok := w.card.(card.Numbered); ok {
		if err := numbered.Number(ctx); err != nil {
			return err
		}
	}
	w.serial = w.card.Identity().Serial
	w.report.Serial = w.serial
	if err := leavesOut(w.run.protected.permits(ctx, w)); err != nil {
		return err
	}
	if err := w.know(ctx); err != nil {
		return err
	}
	if err := w.sameChip(ctx); err != nil {
		return err
	}
	return w.forWhom(ctx)
}

// forWhom finds the row of a card that is known.
func (w *work) forWhom(ctx context.Context) error {
	if err := w.othersCard(ctx); err != nil {
		return err
	}
	if err := w.usable(); err != nil {
		return err
	}
	if w.installed == "" {
		w.run.order.wait(w.number)
		err := w.claim(ctx)
		w.run.order.pass(w.number)
		if err != nil {
			return err
		}
	}
	w.plan = w.row.plan
	w.report.Row, w.report.Person = w.row.Number, w.plan.Person.ID
	w.purse.wipe()
	w.purse = newPurse(w, w.plan)
	w.tell("look", "", "")
	return nil
}

// usable refuses a card that the ledger has in a state that no plan ends.
func (w *work) usable() error {
	if w.known == nil {
		if w.run.o.Renew {
			return w.refused("the ledger does not know this card", "Only cards of the ledger are renewed.")
		}
		return nil
	}
	switch state := w.known.State; state {
	case ledger.Stock, ledger.Issuing:
		if w.run.o.Renew {
			return w.refused("it is not finished", "The ledger has it as "+string(state)+". Only finished cards are renewed.")
		}
		return nil
	case ledger.Active:
		return nil
	case ledger.Returned, ledger.Damaged:
		if w.run.o.Plan.Card.Init == plan.InitAlways {
			w.blank()
			return nil
		}
		return w.refused("the card is "+string(state), "It can be given out again once it is initialised: init: always.")
	default:
		return w.refused("the card is "+string(state), "The ledger says so. A card that was found again is marked as returned first.")
	}
}

// refused is the error of a card that is not provisioned.
func (w *work) refused(what, why string) *problem.Error {
	next := advice.Do(advice.ListCards)
	if w.known != nil {
		next = advice.Do(advice.ShowLedger).On(w.serial)
	}
	return problem.New(problem.Refused, "%s: %s", w.name(), what).Because("%s", why).Advise(next)
}

// name is what the card is called in errors.
func (w *work) name() string {
	if w.report.Serial == "" {
		return "the card in " + w.here.Place
	}
	return "card " + w.serial
}

// othersCard refuses a card of which another application is somebody's in the ledger. It is
// for that person, if the row names it.
func (w *work) othersCard(ctx context.Context) error {
	for _, serial := range w.serials {
		if serial == w.serial || w.run.o.Ledger == nil {
			continue
		}
		other, err := w.run.o.Ledger.Card(ctx, serial)
		if err != nil {
			return err
		}
		if other == nil || other.Person == nil || !other.State.Held() {
			continue
		}
		if other.State == ledger.Lost || other.Person.ID == "" || other.Person.ID != w.owner() && !w.named(other.Person.ID) {
			return w.refused("it is card "+serial+" as well, which is another person's",
				"The ledger has it as "+string(other.State)+". A further application of a card is for the same person, whose row names the card: card.serial.")
		}
	}
	return nil
}

// named reports whether the row of a person names the card.
func (w *work) named(person string) bool {
	return slices.ContainsFunc(w.run.rows, func(row wantedRow) bool {
		serial := row.plan.Card.Serial
		return row.plan.Person.ID == person && serial != "" && desk.HasSerial([]string{w.serial}, serial)
	})
}

// owner is whose card the ledger says it is; empty for nobody's.
func (w *work) owner() string {
	if w.known == nil || w.known.Person == nil {
		return ""
	}
	switch w.known.State {
	case ledger.Issuing, ledger.Active:
		return w.known.Person.ID
	}
	return ""
}

// claim finds the row that the card is for.
func (w *work) claim(ctx context.Context) error {
	r := w.run
	owner := w.owner()
	if r.o.Renew {
		return w.claimRenewal(owner)
	}
	if _, err := w.rowNaming(); err != nil { // which is no refusal of the ledger
		return err
	}
	if r.o.DryRun || r.rows[0].plan.Person.ID == "" {
		return w.choose(ctx, owner)
	}
	lease, err := w.lend(ctx)
	if lease == nil && err == nil {
		lease, err = w.waitForRow(ctx)
	}
	switch {
	case problem.Is(err, problem.Refused):
		return w.refused("it belongs to another person", "The ledger has it as the card of somebody whom no row of this plan is for.")
	case err != nil:
		return err
	case lease == nil:
		return w.refused("no row is left for this card", "All rows have their cards, or are for cards with other serials.")
	}
	w.lease = lease
	for i := range r.rows {
		if r.rows[i].key(r.o) == lease.Row.Key {
			w.take(i)
			return nil
		}
	}
	return errors.Join(w.refused("its row is not in this table", "The ledger has a row of this plan for it that the table does not have."), lease.Free(ctx))
}

// take notes that a row has a card.
func (w *work) take(i int) {
	w.run.turn.Lock()
	defer w.run.turn.Unlock()
	w.takes(i)
}

func (w *work) takes(i int) { w.run.stages[i], w.index, w.row = working, i, w.run.rows[i] }

// choose finds the row without the ledger: for a plan that names nobody, and for one that
// is only shown.
func (w *work) choose(ctx context.Context, owner string) error {
	r := w.run
	r.turn.Lock()
	defer r.turn.Unlock()
	for i, row := range r.rows {
		if row.kind != w.kind || w.meant != nil && row.Number != w.meant.Number {
			continue
		}
		mine := owner != "" && row.plan.Person.ID == owner || row.plan.Card.Serial != "" && desk.HasSerial([]string{w.serial}, row.plan.Card.Serial)
		if mine && (owner == "" || row.plan.Person.ID == owner) {
			if owner == "" {
				if err := w.notSecond(ctx, &row); err != nil {
					return err
				}
			}
			w.takes(i)
			return nil
		}
	}
	if owner != "" {
		return w.refused("it belongs to "+owner, "The ledger has it as a card of that person, and no row of this plan is for them.")
	}
	for i, row := range r.rows {
		if row.kind != w.kind || r.stages[i] != free && r.o.Rows != nil || row.plan.Card.Serial != "" || w.meant != nil && row.Number != w.meant.Number {
			continue
		}
		other, err := r.otherCard(ctx, &row)
		if err != nil {
			return err
		}
		if other == "" {
			w.takes(i)
			return nil
		}
		if w.meant != nil {
			return w.notSecond(ctx, &row)
		}
	}
	return w.refused("no row is left for this card", "All rows have their cards, or are for cards with other serials.")
}

// otherCard is the serial of a card that keeps the person of a row from getting one; empty
// for none.
func (r *run) otherCard(ctx context.Context, row *wantedRow) (string, error) {
	cards, err := r.cardsOf(ctx, row.plan.Person.ID)
	named := row.plan.Card.Serial != "" || row.kind.family.Token // that its row names
	for i := range cards {
		if cards[i].Keeps(row.kind.app, named) {
			return cards[i].Serial, nil
		}
	}
	return "", err
}

// notSecond refuses the card that a row names, if its person has one.
func (w *work) notSecond(ctx context.Context, row *wantedRow) error {
	other, err := w.run.otherCard(ctx, row)
	if err == nil && other != "" {
		err = w.refused(row.plan.Person.ID+" has card "+other, "Nobody is given a second card.")
	}
	return err
}

// cardsOf are the cards of somebody, but the one that is replaced.
func (r *run) cardsOf(ctx context.Context, person string) ([]ledger.Card, error) {
	if person == "" || r.o.Ledger == nil {
		return nil, nil
	}
	cards, err := r.o.Ledger.Cards(ctx, ledger.Filter{Person: person})
	return slices.DeleteFunc(cards, func(c ledger.Card) bool { // the filter takes names as well
		return c.Serial == r.o.Replaces || c.Person == nil || c.Person.ID != person
	}), err
}

// key is what the ledger knows a row by.
func (r *wantedRow) key(o *Options) string {
	if o.Replaces != "" {
		return r.plan.Person.ID + " replaces " + o.Replaces
	}
	return r.plan.Person.ID
}

// claimRenewal is the row of a card whose certificates are renewed: its person's, as the
// table has it, or the plan as it stands.
func (w *work) claimRenewal(owner string) error {
	r := w.run
	for i, row := range r.rows {
		if r.o.Rows != nil && row.kind == w.kind && row.plan.Person.ID == owner {
			w.take(i)
			return nil
		}
	}
	if r.o.Rows != nil {
		return w.refused("it belongs to "+owner, "No row of this table is for them.")
	}
	if owner == "" {
		return w.refused("it is nobody's", "Only cards that somebody has are renewed.")
	}
	filled := r.o.Plan.WithoutRow()
	filled.Person = plan.Person{ID: owner, Name: w.known.Person.Name}
	w.row = wantedRow{r.rows[0].Row, filled, w.kind}
	return nil
}
