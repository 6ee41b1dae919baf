package provision

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// survey finds out what is missing, before anything is changed.
func (w *work) survey(ctx context.Context) error {
	if err := w.provable(); err != nil {
		return err
	}
	if w.run.o.Renew {
		return w.surveyRenewals(ctx)
	}
	if err := w.misnamed(); err != nil {
		return err
	}
	erases, err := w.surveyInit(ctx)
	if err != nil {
		return err
	}
	if err := w.numberless(erases); err != nil {
		return err
	}
	w.erases = erases
	if err := w.surveyKeys(ctx, erases); err != nil {
		return err
	}
	if err := w.surveyHolder(ctx, erases); err != nil {
		return err
	}
	if err := w.surveyPINs(ctx, erases); err != nil {
		return err
	}
	if err := w.surveyCardKeys(); err != nil {
		return err
	}
	w.surveyProof()
	return nil
}

// add adds a step.
func (w *work) add(s step) { w.steps = append(w.steps, &s) }

// already is a step that is done.
func (w *work) already(name, detail string) { w.add(step{name: name, result: Already, detail: detail}) }

// wrong is the error of what is on a card and is not what the plan says.
func (w *work) wrong(name, what, why string) error {
	w.add(step{name: name, result: Failed, detail: what})
	w.list()
	return w.refused(what, why+" Nothing on the card was changed.")
}

// due reports whether something has to be done.
func (w *work) due() bool {
	for _, s := range w.steps {
		if s.result == Would {
			return true
		}
	}
	return false
}

// unfinished says that the ledger has yet to learn that the person has the card: a cut came
// after its last step, or it needed none.
func (w *work) unfinished() bool {
	issuing := w.known != nil && w.known.State == ledger.Issuing
	return !w.run.o.Renew && (issuing || w.lease != nil && (w.known == nil || w.known.State == ledger.Stock))
}

// list reports the steps as they are.
func (w *work) list() {
	w.report.Steps = []Step{}
	for _, s := range w.steps {
		w.report.Steps = append(w.report.Steps, Step{Name: s.name, Result: s.result, Detail: s.detail, APDUs: s.apdus})
	}
}

// do does what is due, one step after the other; what comes after one that failed is
// skipped.
func (w *work) do(ctx context.Context) (err error) {
	defer w.list()
	for _, s := range w.steps {
		if s.result != Would || s.do == nil {
			continue
		}
		if err != nil {
			s.result, s.detail = Skipped, ""
			continue
		}
		err = w.perform(s, func() (string, error) {
			before := w.here.Line.Sent()
			defer func() { s.apdus = w.here.Line.Sent() - before }()
			return s.do(ctx)
		})
	}
	return err
}

// perform does a step, and tells and lists how it ended.
func (w *work) perform(s *step, do func() (detail string, err error)) error {
	w.tell(s.name, "", s.detail)
	detail, err := "", w.lasts(s)
	if err == nil {
		w.doing = s
		detail, err = do()
		w.doing = nil
	}
	s.result, s.detail = Done, detail
	if err != nil {
		s.result, s.detail = Failed, told(err)
	}
	w.list()
	w.tell(s.name, s.result, s.detail)
	return err
}

// begin writes down what will be done before the card is changed.
func (w *work) begin(ctx context.Context) (err error) {
	if w.entry != nil {
		return nil
	}
	change := ledger.Change{
		Command: "provision", Serial: w.serial, Family: w.kind.app, Reader: w.here.Place, Lease: w.lease, Steps: w.names(),
	}
	if id := w.plan.Person.ID; id != "" {
		change.Person = &ledger.Person{ID: id, Name: w.plan.Person.Name}
	}
	if w.known == nil || w.known.State != ledger.Active {
		change.State = ledger.Issuing
	}
	change.Init = w.question != nil || w.known != nil && w.known.State.Ended()
	if w.entry, err = w.run.o.Ledger.Begin(ctx, change); err != nil {
		return err
	}
	if w.question != nil {
		return nil // it has other ones afterwards
	}
	if change.Init { // it was erased before
		if err := w.forget(ctx); err != nil {
			return err
		}
	}
	return w.factory(ctx)
}

// factory writes down which secrets the card has from the factory, so that a run that is
// interrupted goes on without anybody who reads the ledger.
func (w *work) factory(ctx context.Context) error {
	preset, can := w.card.(card.Preset)
	var kinds []secret.Name
	for _, name := range order {
		kept := w.kept(name)
		if can && preset.Preset(name) != nil && (w.question != nil || kept == nil && w.purse.preset) {
			kinds = append(kinds, name)
		}
	}
	if len(kinds) == 0 {
		return nil
	}
	return w.entry.Factory(ctx, kinds...)
}

// names are the steps that are due.
func (w *work) names() (names []string) {
	for _, s := range w.steps {
		if s.result == Would {
			names = append(names, s.name)
		}
	}
	return names
}

// end writes down what was done.
func (w *work) end(ctx context.Context, failed error) error {
	ctx = context.WithoutCancel(ctx) // an interrupted card is written down, too
	if w.entry == nil {
		return w.free(ctx, failed)
	}
	var err error
	if failed == nil {
		err = w.entry.State(ctx, ledger.Active)
	}
	err = errors.Join(err, w.entry.End(ctx, failed))
	return errors.Join(err, w.free(ctx, failed))
}

// free gives the row back, or says that it is done.
func (w *work) free(ctx context.Context, failed error) error {
	switch {
	case w.lease == nil:
		return nil
	case failed == nil && w.entry == nil && w.lease.Progress == ledger.Done:
		return w.lease.Free(ctx) // it was done before, and that is in the log
	case failed == nil:
		return w.lease.Done(ctx, true, "")
	case w.entry == nil:
		return w.lease.Free(ctx)
	}
	return w.lease.Done(ctx, false, reason(failed))
}

// reason is why a card failed, for the ledger.
func reason(err error) string {
	var p *problem.Error
	if errors.As(err, &p) {
		return p.Error()
	}
	return err.Error()
}
