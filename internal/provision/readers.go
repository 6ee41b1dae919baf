package provision

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/pcsc"
)

// work goes through the readers, all of them at once, or through the one that is meant.
func (r *run) work(ctx context.Context) error {
	if r.family.Token {
		return r.tokens(ctx)
	}
	if !r.o.All && r.o.Readers == nil {
		return r.single(ctx)
	}
	places, err := r.places(ctx)
	if err != nil {
		return err
	}
	var all sync.WaitGroup
	r.order.passed = make([]bool, len(places))
	for i, place := range places {
		all.Go(func() { r.reader(ctx, place, i) })
	}
	all.Wait()
	return ctx.Err()
}

// single works on the card that is meant, and then on the next one in its reader, while
// there are rows left.
func (r *run) single(ctx context.Context) error {
	r.order.passed = make([]bool, 1)
	done := r.card(ctx, r.desk, 0)
	if r.o.Rows == nil || r.o.DryRun || done.Reader == "" || r.left() == 0 || r.desk.Meant.Serial != "" {
		return ctx.Err()
	}
	if r.another(ctx, done.Reader, 0) {
		r.reader(ctx, done.Reader, 0)
	}
	return ctx.Err()
}

// places are the readers that are meant. A simulated card is used only where it is named.
func (r *run) places(ctx context.Context) ([]string, error) {
	var places []string
	names := r.o.Readers
	if r.o.All {
		names = []string{""}
	}
	for _, name := range names {
		if strings.HasPrefix(name, desk.SimulatedPrefix) {
			places = append(places, name)
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

// reader works on one card after the other in a reader.
func (r *run) reader(ctx context.Context, place string, number int) {
	defer r.order.pass(number)
	for ctx.Err() == nil && r.left() > 0 {
		if !r.inserted(ctx, place, number) {
			return
		}
		d := *r.desk
		d.Meant.Reader, d.Meant.ReaderTyped, d.Meant.Serial = place, true, ""
		r.card(ctx, &d, number)
		if r.o.DryRun || r.left() == 0 || !r.another(ctx, place, number) {
			return
		}
	}
}

// left is how many rows have no card yet; 1 for a plan without rows, which every card fits.
func (r *run) left() int {
	r.turn.Lock()
	defer r.turn.Unlock()
	return len(r.rows) - len(r.taken)
}

// inserted waits for a card; false where none comes.
func (r *run) inserted(ctx context.Context, place string, number int) bool {
	if strings.HasPrefix(place, desk.SimulatedPrefix) || r.o.DryRun {
		return true
	}
	return r.wait(ctx, place, number, StepInsert, true)
}

// another waits until the card is taken out; false where that cannot be.
func (r *run) another(ctx context.Context, place string, number int) bool {
	if strings.HasPrefix(place, desk.SimulatedPrefix) {
		return false
	}
	return r.wait(ctx, place, number, StepRemove, false) && r.inserted(ctx, place, number)
}

// wait waits until a card is in the reader, or none is.
func (r *run) wait(ctx context.Context, place string, number int, step string, present bool) bool {
	readers, err := r.desk.OpenReaders(ctx, pcsc.Options{BusyTimeout: r.desk.Timeout})
	if err != nil {
		return false
	}
	defer func() { _ = readers.Close() }()
	told := false
	until, stop := context.WithCancel(ctx)
	defer stop()
	_, err = readers.WaitForCard(until, func(found pcsc.Reader) bool {
		if found.Name != place {
			return false
		}
		if found.CardPresent == present {
			return true
		}
		r.order.pass(number)
		if !told {
			told = true
			r.tell(Event{Reader: place, Step: step})
		}
		if r.left() == 0 {
			stop()
		}
		return false
	})
	return err == nil
}
