package service

import (
	"context"
	"os"
	"time"

	"github.com/cardctl/cardctl/internal/agent/client"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
)

// yieldTime is how long an agent is waited for that has to let a card go. One that does not
// in this time has a card that is in use, which whoever connects to it finds out.
const yieldTime = time.Second

// Yielding opens readers whose cards an agent lets go before somebody else connects to them.
func Yielding(open desk.OpenReaders, socket string) desk.OpenReaders {
	return func(ctx context.Context, o pcsc.Options) (desk.Readers, error) {
		readers, err := open(ctx, o)
		if err != nil {
			return nil, err
		}
		return yielding{readers, socket}, nil
	}
}

type yielding struct {
	readers desk.Readers
	socket  string
}

func (y yielding) Readers(ctx context.Context) ([]pcsc.Reader, error) { return y.readers.Readers(ctx) }

func (y yielding) WaitForCard(ctx context.Context, want func(pcsc.Reader) bool) (pcsc.Reader, error) {
	return y.readers.WaitForCard(ctx, want)
}

func (y yielding) Close() error { return y.readers.Close() }

// Connect asks the agent, if there is one, and connects to the card.
func (y yielding) Connect(ctx context.Context, reader string) (iso7816.Connection, error) {
	if _, err := os.Lstat(y.socket); err == nil {
		asking, stop := context.WithTimeout(ctx, yieldTime)
		_, _ = client.Ask(asking, y.socket, client.Request{Do: client.Release, Reader: reader})
		stop()
	}
	return y.readers.Connect(ctx, reader)
}
