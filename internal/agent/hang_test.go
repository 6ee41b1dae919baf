package agent

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// hanging is a reader whose card answers nothing until it is let.
type hanging struct {
	readers
	let chan struct{}
}

func (h *hanging) Connect(context.Context, string) (iso7816.Connection, error) {
	<-h.let
	return nil, iso7816.ErrCardRemoved
}

// A card that hangs keeps nobody from the others: it is waited for once.
func TestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hanging{let: make(chan struct{})}
		h.put(true)
		k := New(Options{
			Desk: &desk.Desk{OpenReaders: func(context.Context, pcsc.Options) (desk.Readers, error) { return h, nil }},
			Idle: time.Second, Access: desk.Access{Now: time.Now},
		})
		ctx, stop := context.WithCancel(t.Context())
		over := make(chan struct{})
		go func() { _ = k.Run(ctx); close(over) }()
		for _, patience := range []time.Duration{readTime, 0} {
			begun := time.Now()
			if all, err := k.All(t.Context()); len(all) != 0 || err != nil {
				t.Errorf("%d tokens, %v", len(all), err)
			}
			if took := time.Since(begun); took > patience {
				t.Errorf("it takes %s", took)
			}
		}
		stop()
		close(h.let)
		<-over
	})
}

// A card that hangs keeps no PIN of the others, and is not waited for longer than the caller
// likes.
func TestLockedBesideOneThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := New(Options{Cache: Removal, Access: desk.Access{Now: time.Now}})
		stuck, other := newPlace(k, "Reader 0", 0), newPlace(k, "Reader 1", 0)
		stuck.open = true // and nothing takes its jobs
		other.pins.given["PIN"] = secret.New([]byte("123456"))
		other.pins.settle(nil)
		k.places = []*place{stuck, other}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		locked := make(chan error)
		go func() { locked <- k.Lock(ctx) }()
		synctest.Wait()
		if other.pins.any() {
			t.Error("the PIN of the other card is kept")
		}
		if err := <-locked; !problem.Is(err, problem.CardBusy) {
			t.Error(err)
		}
	})
}

// A PIN that is too old goes by itself.
func TestTooOldUnused(t *testing.T) {
	b := newBench(t, "openpgp", "OPENPGP.3")
	b.o.Cache = 50 * time.Millisecond
	b.start()
	if _, err := b.sign(b.key("OPENPGP.3")); err != nil {
		t.Fatal(err)
	}
	pins := &b.there()[0].pins
	b.until(func() bool {
		pins.mu.Lock()
		defer pins.mu.Unlock()
		return len(pins.kept) == 0
	})
}
