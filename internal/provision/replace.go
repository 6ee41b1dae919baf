package provision

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/record"
)

// replaces leaves the row of the person whose card is replaced.
func (r *run) replaces(ctx context.Context) error {
	if r.o.Ledger == nil {
		return noSuchCard(r.o.Replaces)
	}
	old, err := r.o.Ledger.Card(ctx, r.o.Replaces)
	if err != nil {
		return err
	}
	if old == nil || old.Person == nil {
		return noSuchCard(r.o.Replaces)
	}
	r.old, r.o.Replaces = old, old.Serial // as the ledger writes it
	for _, row := range r.rows {
		if row.plan.Person.ID == old.Person.ID {
			r.rows = []wantedRow{row}
			return nil
		}
	}
	return problem.New(problem.NotFound, "no row is for %s", old.Person.ID).Because("That is whose card %s is.", r.o.Replaces).
		Advise(advice.Repeat(advice.Fill(advice.Rows)))
}

// retire marks the card that is replaced, before its person can get another one. What is
// on it stays valid until it is revoked.
func (r *run) retire(ctx context.Context) error {
	if r.o.Replaces == "" || r.o.DryRun {
		return nil
	}
	to := ledger.Revoked
	switch r.old.State {
	case ledger.Issuing:
		to = ledger.Damaged
	case ledger.Active, ledger.Suspended:
	default: // it was marked before
		return nil
	}
	marked, err := record.Mark(ctx, r.o.Ledger, r.old, to, nil, nil)
	r.report.Replaced = &marked
	return err
}

func noSuchCard(serial string) error {
	return problem.New(problem.NotFound, "the ledger has no card %s of a person", serial).Advise(advice.Do(advice.ListCards))
}
