package agent

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/pcsc"
)

// lookTime is how long a change of readers can stay unseen.
const lookTime = 300 * time.Millisecond

// watch follows what is inserted and removed.
func (k *Keeper) watch(ctx context.Context) error {
	defer k.looker.close()
	k.held.Go(func() { k.scan(ctx) })
	k.look(ctx)
	close(k.looked)
	for {
		for _, p := range k.there() {
			p.retry()
			p.pins.age()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(lookTime):
		}
		k.look(ctx)
	}
}

// look compares what is in the readers with what was known.
func (k *Keeper) look(ctx context.Context) {
	k.looking.Lock()
	defer k.looking.Unlock()
	now := k.looker.cards(ctx)
	if ctx.Err() == nil {
		k.seen(now)
	}
}

// looker looks at readers.
type looker struct {
	desk    *desk.Desk
	readers desk.Readers
}

// cards are the readers with a card, of those that are meant. Without a resource manager
// there is none.
func (l *looker) cards(ctx context.Context) []pcsc.Reader {
	if meant := l.desk.Meant.Reader; strings.HasPrefix(meant, desk.SimulatedPrefix) {
		return []pcsc.Reader{{Name: meant, CardPresent: true}}
	}
	var err error
	if l.readers == nil {
		if l.readers, err = l.desk.OpenReaders(ctx, pcsc.Options{BusyTimeout: l.desk.Timeout}); err != nil {
			l.readers = nil
			return nil
		}
	}
	all, err := l.readers.Readers(ctx)
	if err != nil {
		l.close()
		return nil
	}
	return slices.DeleteFunc(all, func(r pcsc.Reader) bool {
		return !r.CardPresent || l.desk.Meant.Reader != "" && !strings.Contains(r.Name, l.desk.Meant.Reader)
	})
}

func (l *looker) close() {
	if l.readers != nil {
		_ = l.readers.Close() // it was only looked at
		l.readers = nil
	}
}

// seen compares the readers that have a card with what was known.
func (k *Keeper) seen(now []pcsc.Reader) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range slices.Clone(k.places) {
		if p.module == "" && !slices.ContainsFunc(now, p.is) {
			k.remove(p)
		}
	}
	for _, r := range now {
		if !slices.ContainsFunc(k.places, func(p *place) bool { return p.is(r) }) {
			k.insert(newPlace(k, r.Name, r.Changes))
		}
	}
}

// insert and remove need the lock.
func (k *Keeper) insert(p *place) {
	if k.ctx.Err() != nil {
		return
	}
	k.places = append(k.places, p)
	p.life, p.stop = context.WithCancel(k.ctx)
	k.held.Go(func() { p.run(p.life) })
	k.change()
}

func (k *Keeper) remove(p *place) {
	k.places = slices.DeleteFunc(k.places, func(other *place) bool { return other == p })
	p.stop()
	p.pins.drop()
	k.change()
}

// again has everybody look once more.
func (k *Keeper) again() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.change()
}

// ended is a place whose card is not there any more, as its session found out.
func (k *Keeper) ended(p *place) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if slices.Contains(k.places, p) {
		k.remove(p)
	}
}
