package cardfault

import (
	"context"
	"crypto"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/family"
)

// A computer that is suspended takes the power from its cards, and its clock on the wall goes
// on. A PIN whose time is over by then is asked for again, and one whose time is not is sent
// again, except to a card that was out of its reader meanwhile.
func TestSuspended(t *testing.T) {
	for name, test := range map[string]struct {
		slept time.Duration
		wakes func(*reader)
		asks  int32
	}{
		"a nap":                       {5 * time.Minute, resets, 1},
		"a night":                     {8 * time.Hour, resets, 2},
		"a nap without its readers":   {5 * time.Minute, comesBack, 2},
		"a night without its readers": {8 * time.Hour, comesBack, 2},
	} {
		t.Run(name, func(t *testing.T) {
			s := &scene{t: t, o: Operation{Ref: "OPENPGP.3"}, where: name, reader: &reader{}, cards: map[string]*card{}}
			s.cards[right] = &card{sim: OpenPGP.make(t)[right]}
			s.reader.put(s.cards[right])
			var slept atomic.Int64
			dir := t.TempDir()
			s.Keeper = agent.New(agent.Options{
				Desk: &desk.Desk{OpenReaders: s.reader.opens, Identify: family.Serials, StateDir: func() (string, error) { return dir, nil }},
				Access: desk.Access{
					Now: func() time.Time { return time.Now().Add(time.Duration(slept.Load())) }, Notify: func(string) {}, Ask: s.ask,
				},
				Cache: 10 * time.Minute, Idle: time.Hour,
			})
			ctx, stop := context.WithCancel(context.Background())
			over := make(chan struct{})
			go func() { _ = s.Run(ctx); close(over) }()
			defer func() { stop(); <-over }()
			sign := func() error {
				k, err := s.key()
				if err == nil {
					_, err = k.Sign(t.Context(), agent.Client{}, make([]byte, 32), crypto.SHA256)
				}
				return err
			}
			for range 2 {
				if err := sign(); err != nil {
					t.Fatal(err)
				}
			}
			slept.Store(int64(test.slept))
			s.reader.mu.Lock()
			test.wakes(s.reader)
			s.reader.mu.Unlock()
			_ = sign() // a card that was reset under the agent answers nothing, once
			if err := sign(); err != nil {
				t.Error(err)
			}
			if n := s.asked.Load(); n != test.asks {
				t.Errorf("a person was asked %d times, not %d", n, test.asks)
			}
			if c := s.cards[right]; c.refusals > 0 {
				t.Errorf("%d PINs were refused", c.refusals)
			}
		})
	}
}

// resets has every card reset that somebody holds.
func resets(r *reader) {
	for _, c := range r.open {
		c.reset = true
		_ = c.Connection.Release(true)
		_ = c.Connection.Resume(context.Background())
	}
}

// comesBack has the card come back with its reader.
func comesBack(r *reader) {
	c := r.card
	r.put(nil)
	r.put(c)
}
