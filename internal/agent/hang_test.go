package agent

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
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
