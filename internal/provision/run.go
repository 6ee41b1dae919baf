package provision

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/plan"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/smoke"
)

// run is one run of a plan.
type run struct {
	o      *Options
	desk   *desk.Desk
	access desk.Access
	kinds  []*kind
	rows   []wantedRow
	// protected are the cards that are never provisioned.
	protected protected
	sittings  *ca.Sittings
	withheld  []secret.Source // from programs that are started
	sealers   *ledger.Sealers
	old       *ledger.Card    // that is replaced; nil for none
	proofs    []smoke.Options // of smokeTest

	person  *person
	order   turns
	turn    sync.Mutex   // for what follows
	proving sync.RWMutex // held while a module is used, which looks at the cards in all readers
	sources sync.Mutex   // for given
	given   map[string]*secret.Bytes
	made    map[int64]*secret.Bytes // what was sealed in this run, by its number
	stages  []stage                 // of the rows
	settled func()                  // is called when nothing is left to be done
	ahead   time.Duration           // the clock of the ledger is, of that of the caller
	report  Report
}

// wantedRow is a row, and what the plan comes to with it.
type wantedRow struct {
	plan.Row
	plan *plan.Plan
	kind *kind
}

// Run brings cards to what the plan says. The report is good also with an error, which is
// that of the first row that did not pass.
func Run(ctx context.Context, d *desk.Desk, a desk.Access, o Options) (Report, error) {
	r := &run{
		o: &o, desk: quiet(d), access: a, person: &person{access: a, tell: o.Tell}, sittings: ca.NewSittings(),
		given: map[string]*secret.Bytes{}, made: map[int64]*secret.Bytes{}, report: Report{Rows: []Row{}, DryRun: o.DryRun},
	}
	defer r.wipe()
	if err := r.check(ctx); err != nil {
		return r.report, err
	}
	if err := r.readClock(ctx); err != nil {
		return r.report, err
	}
	places, err := r.places(ctx)
	if err != nil {
		return r.report, err
	}
	if err := r.retire(ctx); err != nil {
		return r.report, err
	}
	if err := r.offer(ctx); err != nil {
		return r.report, err
	}
	r.stages = make([]stage, len(r.rows))
	err = errors.Join(r.work(ctx, places), r.sittings.Close())
	r.finish(context.WithoutCancel(ctx))
	return r.report, errors.Join(r.failed(), err)
}

// quiet is a desk that several readers use at once: what it tells in detail would be
// mixed up.
func quiet(d *desk.Desk) *desk.Desk {
	calm := *d
	calm.Detail, calm.NotLetGo, calm.Kept, calm.Keep = nil, nil, nil, false
	return &calm
}

// failed is the error of the first row that did not pass.
func (r *run) failed() error {
	for _, row := range r.report.Rows {
		if !row.Passed {
			return row.err
		}
	}
	return nil
}

// finish sorts the rows, and adds those that no card was there for.
func (r *run) finish(ctx context.Context) {
	if !r.o.Renew && !r.o.DryRun && r.o.Rows != nil {
		r.addUncarded(ctx)
	}
	slices.SortStableFunc(r.report.Rows, func(a, b Row) int { return a.Row - b.Row })
}

// addUncarded adds the rows for which no card was there.
func (r *run) addUncarded(ctx context.Context) {
	reported := map[int]bool{}
	for _, done := range r.report.Rows {
		reported[done.Row] = true
	}
	var left []wantedRow
	for i, row := range r.rows {
		if r.stages[i] == free && !reported[row.Number] {
			left = append(left, row)
		}
	}
	if len(left) == 0 {
		return
	}
	var cards map[string]string
	var err error
	if r.o.Ledger != nil {
		cards, err = r.o.Ledger.ActiveCards(ctx)
	}
	for _, row := range left {
		r.report.Rows = append(r.report.Rows, uncarded(row, cards[row.plan.Person.ID], err))
	}
}

// uncarded is a row for which no card was there: one whose person has a card is done.
func uncarded(row wantedRow, card string, err error) Row {
	report := Row{Row: row.Number, Person: row.plan.Person.ID, Steps: []Step{}}
	if card != "" {
		report.Serial, report.Passed = card, true
		report.Steps = append(report.Steps, Step{Name: "card", Result: Already, Detail: "in an earlier run"})
		return report
	}
	if err == nil {
		err = problem.New(problem.NotFound, "there was no card for row %d", row.Number).
			Because("It is for %s.", report.Person).Advise(advice.Do(advice.ListReaders, advice.Switch(advice.Wait)))
	}
	report.err, report.Error = err, err.Error()
	return report
}

func (r *run) wipe() {
	for _, value := range r.given {
		value.Wipe()
	}
	r.given = nil
	for _, value := range r.made {
		value.Wipe()
	}
	r.made = nil
}

// remember keeps what was sealed in this run: a card that is taken out on the way goes on
// without anybody who reads the ledger.
func (r *run) remember(sealed int64, value *secret.Bytes) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.made[sealed] = value.Clone()
}

// forget ends that for a card that is done.
func (r *run) forget(p *purse) {
	r.turn.Lock()
	defer r.turn.Unlock()
	for _, one := range p.wanted {
		r.made[one.sealed].Wipe()
		delete(r.made, one.sealed)
	}
}

// recall is what was sealed in this run; nil if it was not.
func (r *run) recall(sealed int64) *secret.Bytes {
	r.turn.Lock()
	defer r.turn.Unlock()
	return r.made[sealed].Clone()
}

// readable reports whether a secret of the ledger can be read.
func (r *run) readable(sealed *ledger.Sealed) bool {
	r.turn.Lock()
	defer r.turn.Unlock()
	return len(sealed.Blob) == 0 || r.o.Unseal != nil || r.made[sealed.ID] != nil
}

// shared is what a source gives for the whole run: it is read once.
func (r *run) shared(ctx context.Context, q secret.Request, from plan.Source) (*secret.Bytes, error) {
	r.sources.Lock()
	defer r.sources.Unlock()
	name := string(q.Name) + " " + from.String() + from.Word
	if value := r.given[name]; value != nil {
		return value.Clone(), nil
	}
	var value *secret.Bytes
	var err error
	r.person.alone(func() { value, err = r.o.Secret(ctx, q, from, Children{Withheld: r.withheld}) })
	if err == nil && value != nil {
		r.given[name] = value.Clone()
	}
	return value, err
}

// tell says what happens in a reader.
func (r *run) tell(e Event) {
	e.Left = r.left()
	r.person.hear(e)
}

// warn is something that a person should think about before the first card.
func (r *run) warn(sentence string) {
	r.report.Warnings = append(r.report.Warnings, sentence)
	if r.o.Warn != nil {
		r.o.Warn(sentence)
	}
}

// add is a row that is done with, passed or not. A card that was put in again counts with
// what became of it last.
func (r *run) add(row Row) {
	r.turn.Lock()
	defer r.turn.Unlock()
	before := -1
	if row.Row != 0 && r.o.Rows != nil {
		before = slices.IndexFunc(r.report.Rows, func(other Row) bool { return other.Row == row.Row })
	}
	if before >= 0 {
		r.report.Rows[before] = row
		return
	}
	r.report.Rows = append(r.report.Rows, row)
}

// leaveOut notes a card that is never provisioned.
func (r *run) leaveOut(out LeftOut) {
	r.turn.Lock()
	defer r.turn.Unlock()
	if !slices.Contains(r.report.LeftOut, out) {
		r.report.LeftOut = append(r.report.LeftOut, out)
	}
}

// now is the time of the caller.
func (r *run) now() time.Time { return r.access.Now() }

// ledgerNow is the time of the ledger, by which certificates are renewed: stations may have
// different clocks.
func (r *run) ledgerNow() time.Time { return r.now().Add(r.ahead) }

// readClock finds out how far the clock of the ledger is ahead of that of the caller.
func (r *run) readClock(ctx context.Context) error {
	if r.o.Ledger == nil {
		return nil
	}
	now, err := r.o.Ledger.Time(ctx)
	if err == nil {
		r.ahead = now.Sub(r.now())
	}
	return err
}

// offer puts the rows into the ledger, from which stations take them.
func (r *run) offer(ctx context.Context) error {
	if r.o.DryRun || r.o.Renew {
		return nil
	}
	for _, k := range r.kinds {
		if err := r.offerFor(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

// offerFor puts the rows for a kind of cards into the ledger.
func (r *run) offerFor(ctx context.Context, k *kind) error {
	var rows []ledger.Row
	table := sha256.New()
	fmt.Fprintln(table, r.o.Plan.Hash())
	if len(r.kinds) > 1 {
		fmt.Fprintln(table, k.app)
	}
	for _, row := range r.rows {
		if row.plan.Person.ID == "" || row.kind != k {
			continue
		}
		fmt.Fprintf(table, "%q %q\n", row.key(r.o), row.plan.Card.Serial)
		serial := row.plan.Card.Serial
		if k.family.Token { // so that it is given to no other
			serial = provisional(&row)
			fmt.Fprintln(table, serial)
		}
		rows = append(rows, ledger.Row{
			Key: row.key(r.o), Person: ledger.Person{ID: row.plan.Person.ID, Name: row.plan.Person.Name}, Serial: serial,
		})
	}
	if len(rows) == 0 {
		return nil
	}
	k.hash = fmt.Sprintf("%X", table.Sum(nil))
	return r.o.Ledger.Offer(ctx, k.hash, rows)
}
