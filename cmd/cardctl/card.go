package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
)

// simulatedPrefix is what the names of simulated cards' readers begin with.
const simulatedPrefix = "sim:"

// readers is what this program needs of PC/SC.
type readers interface {
	Readers(context.Context) ([]pcsc.Reader, error)
	Connect(ctx context.Context, reader string) (iso7816.Connection, error)
	WaitForCard(ctx context.Context, want func(pcsc.Reader) bool) (pcsc.Reader, error)
	Close() error
}

func openPCSC(ctx context.Context, o pcsc.Options) (readers, error) { return pcsc.Open(ctx, o) }

// card is the one card that a command works on.
type card struct {
	// Reader is where it is.
	Reader string
	*iso7816.Channel

	connection iso7816.Connection
}

// withCard finds the one card that is meant, and lets it go when work is done,
// whatever comes of it: without a verified PIN.
func (env *Env) withCard(ctx context.Context, work func(context.Context, *card) error) error {
	c, err := env.findCard(ctx)
	if err != nil {
		return err
	}
	env.detail("using the card in %s", c.Reader)
	return errors.Join(work(ctx, c), c.close())
}

// withCardIn works on the card in the reader of this name.
func (env *Env) withCardIn(ctx context.Context, reader string, work func(context.Context, *card) error) error {
	c, err := env.connect(ctx, reader)
	if err != nil {
		return err
	}
	return errors.Join(work(ctx, c), c.close())
}

// connect connects to the card in the reader of this name.
func (env *Env) connect(ctx context.Context, reader string) (*card, error) {
	if name, simulated := strings.CutPrefix(reader, simulatedPrefix); simulated {
		connection, err := env.connectSimulated(ctx, name)
		if err != nil {
			return nil, err
		}
		return env.open(reader, connection)
	}
	from, err := env.openReaders(ctx, pcsc.Options{BusyTimeout: env.flags.timeout})
	if err != nil {
		return nil, err
	}
	defer func() { _ = from.Close() }()
	connection, err := from.Connect(ctx, reader)
	if err != nil {
		return nil, err
	}
	return env.open(reader, connection)
}

// close lets the card go.
func (c *card) close() error {
	err := c.connection.Close(c.Verified())
	if err != nil {
		err = fmt.Errorf("let go of the card in %s: %w", c.Reader, err)
	}
	return err
}

// open wraps a connection in what every command wants around it.
func (env *Env) open(reader string, connection iso7816.Connection) (*card, error) {
	env.there = append(env.there, reader)
	can := iso7816.CapabilitiesOf(iso7816.HistoricalBytes(connection.ATR()))
	return &card{
		Reader: reader, Channel: iso7816.NewChannel(env.tracer(connection), can),
		connection: connection,
	}, nil
}
