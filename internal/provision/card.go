package provision

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// work is the work on one card.
type work struct {
	run  *run
	kind *kind // once it is open
	desk *desk.Desk
	// number is that of the reader.
	number int
	here   family.At
	card   card.Card
	// becomes is the serial that the card has, or gets, if serial is only what it was
	// announced with.
	becomes string
	// meant is the row that a token is for: it has the name of the token.
	meant *wantedRow
	// serial is what the ledger knows the card by, known what it knows; nil for nothing.
	serial string
	known  *ledger.Card
	// serials are those of all applications on the card; nil where it is not asked for them.
	serials []string
	// chip is the serial of a Java card's chip, chipInLedger what the ledger has of it by
	// now; both are empty where they are not known.
	chip, chipInLedger string
	// installed is what the ledger knows a card by that got its applet now; empty for others.
	installed string
	row       wantedRow
	index     int // of the row; -1 for none
	plan      *plan.Plan
	lease     *ledger.Lease
	entry     *ledger.Entry
	purse     *purse

	// question is what has to be confirmed before the card is erased; nil for nothing.
	question *advice.Question
	// former are secrets that the ledger has of a card from before it was erased.
	former []ledger.Sealed

	// erases says that the card will be initialised, initialised that it was.
	erases, initialised bool

	steps  []*step
	doing  *step // nil for none
	report Row
	left   *LeftOut // why it has no row
}

// step is one step of a card: what was found, and what is done about it.
type step struct {
	name string
	// result is Already, Would or Skipped before anything is done.
	result Result
	detail string
	// takes is how long it may take; 0 is for a short one.
	takes time.Duration
	do    func(ctx context.Context) (detail string, err error)
	apdus int
}

// card works on the card that is meant, and reports it. row is the one that it is for, if
// that is known; else nil.
func (r *run) card(ctx context.Context, d *desk.Desk, row *wantedRow, number int) *work {
	defer r.order.pass(number)
	w := &work{run: r, desk: d, number: number, meant: row, index: -1, report: Row{Steps: []Step{}}}
	side := r.o.All || r.o.Readers != nil
	if side {
		w.report.Reader = d.Meant.Reader
	}
	err := w.all(ctx)
	var never *leftOut
	if side && (errors.As(err, &never) || err != nil && w.report.Row == 0 && r.o.Rows != nil) {
		w.report.err = err
		w.left = &LeftOut{Reader: w.report.Reader, Serial: w.report.Serial, Why: told(err)}
		w.tell(StepDone, Skipped, told(err))
		return w
	}
	if w.report.Passed = err == nil; err == nil && w.purse != nil {
		r.forget(w.purse)
	}
	if err != nil {
		w.report.err, w.report.Error = err, told(err)
	}
	r.add(w.report)
	result := Done
	if err != nil {
		result = Failed
	}
	w.tell(StepDone, result, w.report.Error)
	return w
}

// tell says what happens to the card.
func (w *work) tell(step string, result Result, detail string) {
	w.run.tell(Event{
		Reader: w.report.Reader, Row: w.report.Row, Person: w.report.Person, Serial: w.report.Serial,
		Step: step, Result: string(result), Detail: detail,
	})
}

// all is everything that is done with a card: in one session, and then the test through a
// module, for which the card is let go.
func (w *work) all(ctx context.Context) error {
	defer func() { w.purse.wipe() }()
	a := desk.Access{
		Ask: w.ask, Confirm: w.run.person.confirm, Now: w.run.access.Now, Notify: func(message string) { w.tell(message, "", "") },
		AllowLastTry:      w.run.access.AllowLastTry || w.run.o.Plan.Card.AllowLastTry,
		AllowUnknownTries: w.run.access.AllowUnknownTries || w.run.o.Plan.Card.AllowUnknownTries,
	}
	wanted := family.Wanted{Takes: w.run.apps()}
	d := *w.desk
	if len(wanted.Takes) == 1 {
		d.Meant.App = wanted.Takes[0]
	}
	err := w.withApplet(ctx, &d, a, func() error {
		if w.run.lent() { // no module selects something on it meanwhile
			w.run.proving.RLock()
			defer w.run.proving.RUnlock()
		}
		return family.WithCard(ctx, &d, wanted, a, func(ctx context.Context, here family.At, c card.Card) error {
			w.here, w.card, w.report.Reader = here, c, here.Place
			w.kind = w.run.kindOf(here.App)
			return w.session(ctx)
		})
	})
	if err == nil && !w.run.o.DryRun {
		err = w.afterwards(ctx, d, a)
	}
	return errors.Join(err, w.end(ctx, err))
}

// session looks what is on the card, and does what is missing.
func (w *work) session(ctx context.Context) error {
	if err := w.recognise(ctx); err != nil {
		return err
	}
	err := w.workOnRow(ctx)
	for w.lostRace(err) {
		switch next := w.nextRow(ctx); {
		case problem.Is(next, problem.Refused): // there is none
			return err
		case next != nil:
			return next
		}
		err = w.workOnRow(ctx)
	}
	return err
}

// workOnRow does what is missing for the row that the card has.
func (w *work) workOnRow(ctx context.Context) error {
	if err := w.survey(ctx); err != nil {
		return err
	}
	if w.run.o.DryRun {
		w.list()
		return nil
	}
	if w.due() || w.unnamed() || w.unfinished() {
		if w.question != nil {
			if err := w.here.Access.Confirm.Ask(ctx, *w.question); err != nil {
				return err
			}
		}
		if err := w.begin(ctx); err != nil {
			return err
		}
		if err := w.rename(ctx, w.becomes); err != nil {
			return err
		}
		if err := w.seenOnChip(ctx, w.serial); err != nil {
			return err
		}
	}
	return w.do(ctx)
}

// ask hands out the secrets of this card, unless finding one out took so long that the row
// may be another station's.
func (w *work) ask(ctx context.Context, q secret.Request) (value *secret.Bytes, err error) {
	if w.purse == nil {
		return w.person(ctx, q)
	}
	value, err = w.purse.ask(ctx, q)
	if err != nil || w.doing == nil {
		return value, err
	}
	if err := w.lasts(w.doing); err != nil {
		value.Wipe()
		return nil, err
	}
	return value, nil
}

// person asks at the desk.
func (w *work) person(ctx context.Context, q secret.Request) (*secret.Bytes, error) {
	if w.report.Person != "" && q.Label != "" {
		q.Label += " (" + w.report.Person + ")"
	}
	return w.run.person.ask(ctx, q)
}

// source is what a source of the plan gives for this card: a command gets the row.
func (w *work) source(ctx context.Context, q secret.Request, from plan.Source) (*secret.Bytes, error) {
	if from.Runs() {
		return w.run.o.Secret(ctx, q, from, Children{w.row.Environ(), w.run.withheld}) // nobody is asked
	}
	return w.run.shared(ctx, q, from)
}

// kept is a secret of the card in the ledger, as the card has it now; nil for none.
func (w *work) kept(name secret.Name) *ledger.Sealed {
	if w.known == nil {
		return nil
	}
	at := slices.IndexFunc(w.known.Secrets, func(s ledger.Sealed) bool { return s.Kind == name && s.Set && !s.Ended })
	if at < 0 {
		return nil
	}
	return &w.known.Secrets[at]
}

// pending is a secret that was sealed, and of which it is not known whether the card got it.
func (w *work) pending(name secret.Name) *ledger.Sealed {
	if w.known == nil {
		return nil
	}
	for i := range slices.Backward(w.known.Secrets) {
		if s := &w.known.Secrets[i]; s.Kind == name && !s.Set && !s.Ended {
			return s
		}
	}
	return nil
}

// unseal opens a secret of the ledger.
func (w *work) unseal(ctx context.Context, sealed *ledger.Sealed, q secret.Request) (*secret.Bytes, error) {
	if value := w.run.recall(sealed.ID); value != nil {
		return value, nil
	}
	if w.run.o.Unseal == nil {
		return nil, problem.New(problem.Refused, "the %s of %s is sealed in the ledger", sealed.Kind.Words(), w.serial).
			Because("cardctl set it, and nobody here can read it.").Advise(advice.Repeat(advice.Fill(advice.Identity)))
	}
	value, err := w.run.o.Unseal(ctx, sealed.Blob)
	if err != nil {
		return nil, fmt.Errorf("the %s of %s: %w", sealed.Kind.Words(), w.serial, err)
	}
	return value, nil
}
