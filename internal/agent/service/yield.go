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
	y.ask(ctx, client.Request{Do: client.Release, Reader: reader})
	c, err := y.readers.Connect(ctx, reader)
	if err != nil {
		return nil, err
	}
	return yielded{c, y, reader}, nil
}

// ask asks the agent, if there is one.
func (y yielding) ask(ctx context.Context, request client.Request) {
	if _, err := os.Lstat(y.socket); err != nil {
		return
	}
	asking, stop := context.WithTimeout(ctx, yieldTime)
	defer stop()
	_, _ = client.Ask(asking, y.socket, request) // whether the card is free is found out by using it
}

// yielded is a connection to a card that an agent may want meanwhile.
type yielded struct {
	iso7816.Connection
	yielding yielding
	reader   string
}

// Resume asks the agent, which may have taken the card while it was free.
func (c yielded) Resume(ctx context.Context) error {
	c.yielding.ask(ctx, client.Request{Do: client.Release, Reader: c.reader})
	return c.Connection.Resume(ctx)
}

// Close has the agent read the card again: it may have other keys now.
func (c yielded) Close(reset bool) error {
	err := c.Connection.Close(reset)
	c.yielding.ask(context.Background(), client.Request{Do: client.Reread, Reader: c.reader})
	return err
}
