package provision

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
)

// stage is how far a row is in this run.
type stage int

const (
	free    stage = iota // no card has it
	working              // a card has it
	settled              // its card passed, or failed and is still there
)

// work goes through the readers, all of them at once, or through the one that is meant.
func (r *run) work(ctx context.Context, places []string) error {
	if r.ofTokens() {
		return r.tokens(ctx)
	}
	if places == nil {
		return r.single(ctx)
	}
	waiting, settled := context.WithCancel(ctx)
	defer settled()
	r.settled = settled
	var all sync.WaitGroup
	r.order = newTurns(len(places))
	for i, place := range places {
		all.Go(func() { r.reader(ctx, waiting, place, i) })
	}
	all.Wait()
	return ctx.Err()
}

// single works on the card that is meant, and then on the next one in its reader, while
// there are rows left.
func (r *run) single(ctx context.Context) error {
	r.order = newTurns(1)
	waiting, settled := context.WithCancel(ctx)
	defer settled()
	r.settled = settled
	done := r.card(ctx, r.desk, nil, 0)
	r.settle(done, false)
	place := done.report.Reader
	if r.o.Rows == nil || r.o.DryRun || done.index < 0 || r.desk.Meant.Serial != "" || strings.HasPrefix(place, desk.SimulatedPrefix) {
		return ctx.Err()
	}
	if _, ok := r.wait(waiting, place, 0, StepRemove, func(now pcsc.Reader) bool { return !now.CardPresent }); ok {
		r.reader(ctx, waiting, place, 0)
	}
	return ctx.Err()
}

// places are the readers that are meant. A simulated card is used only where it is named.
func (r *run) places(ctx context.Context) ([]string, error) {
	var places []string
	if r.ofTokens() || !r.o.All && r.o.Readers == nil {
		return nil, nil
	}
	names := r.o.Readers
	if r.o.All {
		names = []string{""}
	}
	for _, name := range names {
		if strings.HasPrefix(name, desk.SimulatedPrefix) {
			if !slices.Contains(places, name) {
				places = append(places, name)
			}
			continue
		}
		d := *r.desk
		d.Meant.Reader = name
		found, unreachable, err := d.Places(ctx, false, nil)
		if err := errors.Join(err, unreachable); err != nil {
			return nil, err
		}
		for _, place := range found {
			if !strings.HasPrefix(place.Name, desk.SimulatedPrefix) && !slices.Contains(places, place.Name) {
				places = append(places, place.Name)
			}
		}
	}
	if len(places) == 0 {
		return nil, desk.NoReader()
	}
	return places, nil
}

// reader works on one card after the other in a reader, until all rows are settled, for
// which waiting ends.
func (r *run) reader(ctx, waiting context.Context, place string, number int) {
	defer r.order.pass(number)
	d := *r.desk
	d.Meant.Reader, d.Meant.ReaderTyped, d.Meant.Serial = place, true, ""
	if strings.HasPrefix(place, desk.SimulatedPrefix) {
		r.settle(r.card(ctx, &d, nil, number), false)
		return
	}
	if r.once() {
		if now, ok := r.look(ctx, place); ok && now.CardPresent {
			r.settle(r.card(ctx, &d, nil, number), false)
		}
		return
	}
	for again := 0; waiting.Err() == nil; {
		card, ok := r.wait(waiting, place, number, StepInsert, func(now pcsc.Reader) bool { return now.CardPresent })
		if !ok {
			return
		}
		other := func(now pcsc.Reader) bool { return !now.CardPresent || now.Changes != card.Changes }
		done := r.card(ctx, &d, nil, number)
		now, ok := r.look(ctx, place)
		out := ok && other(now)
		if !out && again < contacts && unreached(done.report.err) {
			again++
			r.settle(done, true)
			r.bounce(waiting, place, other)
			continue
		}
		again = 0
		r.settle(done, out)
		if _, ok := r.wait(waiting, place, number, StepRemove, other); !ok {
			return
		}
	}
}

// A card that was not reached although it is still there is tried again: a contact was bad
// for a moment.
const (
	contacts   = 2
	bounceTime = time.Second
)

// unreached says that a card failed since it did not answer.
func unreached(err error) bool {
	return problem.Gone(err) || errors.Is(err, iso7816.ErrCardRemoved) || errors.Is(err, iso7816.ErrCardReset) || errors.Is(err, iso7816.ErrNotCarried)
}

// bounce waits a moment for a reader to notice that its card was taken out.
func (r *run) bounce(ctx context.Context, place string, other func(pcsc.Reader) bool) {
	ctx, stop := context.WithTimeout(ctx, bounceTime)
	defer stop()
	_, _ = r.watch(ctx, place, other) // where it does not notice, the card is tried all the same
}

// once says that each reader works on the card that is in it, and on no other: it is only
// looked at, or there is no table that would end.
func (r *run) once() bool { return r.o.DryRun || r.o.Rows == nil }

// left is how many rows have no card yet.
func (r *run) left() int {
	r.turn.Lock()
	defer r.turn.Unlock()
	left := 0
	for _, s := range r.stages {
		if s == free {
			left++
		}
	}
	return left
}

// settle ends the work on a card. The row of one that was taken out before it was done is
// for it when it is put in again.
func (r *run) settle(w *work, out bool) {
	if w.left != nil && !out {
		r.leaveOut(*w.left)
	}
	r.turn.Lock()
	defer r.turn.Unlock()
	if w.index >= 0 {
		r.stages[w.index] = settled
		if out && !w.report.Passed {
			r.stages[w.index] = free
		}
	}
	open := slices.ContainsFunc(r.stages, func(s stage) bool { return s != settled })
	if !open && r.settled != nil {
		r.settled()
	}
}

// look is the state of a reader now.
func (r *run) look(ctx context.Context, place string) (pcsc.Reader, bool) {
	readers, err := r.desk.OpenReaders(ctx, pcsc.Options{BusyTimeout: r.desk.Timeout})
	if err != nil {
		return pcsc.Reader{}, false
	}
	defer func() { _ = readers.Close() }()
	all, err := readers.Readers(ctx)
	at := slices.IndexFunc(all, func(reader pcsc.Reader) bool { return reader.Name == place })
	if err != nil || at < 0 {
		return pcsc.Reader{}, false
	}
	return all[at], true
}

// wait waits until the reader is as it is to be; false where that does not come.
func (r *run) wait(ctx context.Context, place string, number int, step string, as func(pcsc.Reader) bool) (pcsc.Reader, bool) {
	told := false
	now, err := r.watch(ctx, place, func(now pcsc.Reader) bool {
		if as(now) {
			return true
		}
		r.order.pass(number)
		if !told {
			told = true
			r.tell(Event{Reader: place, Step: step})
		}
		return false
	})
	return now, err == nil
}

// watch is the state of a reader once it is as it is to be.
func (r *run) watch(ctx context.Context, place string, as func(pcsc.Reader) bool) (pcsc.Reader, error) {
	readers, err := r.desk.OpenReaders(ctx, pcsc.Options{BusyTimeout: r.desk.Timeout})
	if err != nil {
		return pcsc.Reader{}, err
	}
	defer func() { _ = readers.Close() }() // it was only looked at
	return readers.WaitForCard(ctx, func(now pcsc.Reader) bool { return now.Name == place && as(now) })
}
