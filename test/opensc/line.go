package opensc

import (
	"bytes"
	"cmp"
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
)

// Desk is a reader of this process, in which cards come and go; the programs work
// on the card that is in it.
type Desk struct {
	Card *cardsim.Card // nil for none
	Name string        // of the reader; empty for Reader

	Programs

	// Handle has the reader notice that a card was taken out while it was let go,
	// as PC/SC does where the handle is kept.
	Handle bool
	// Strange has cardctl not know the card, so that it leaves all to OpenSC.
	Strange bool
	// Sent is told each command of cardctl's own; nil for nothing.
	Sent func(apdu []byte)
	// Released is called each time that the card is let go, Taken each time that
	// it is taken again; nil for nothing.
	Released, Taken func()

	connection iso7816.Connection
	channel    *iso7816.Channel
	on         *cardsim.Card
}

// NewDesk is a reader with a card in it.
func NewDesk(card *cardsim.Card) *Desk {
	d := &Desk{Card: card}
	d.Connect = func(ctx context.Context) (iso7816.Connection, error) {
		if d.Card == nil {
			return nil, iso7816.ErrCardRemoved
		}
		return d.Card.Connect(ctx)
	}
	return d
}

// Open opens the card that is in the reader.
func (d *Desk) Open(ctx context.Context) (*pkcs15.Card, error) {
	return pkcs15.Open(ctx, d, d.Tools())
}

// Channel connects to the card that is there, unless that is done.
func (d *Desk) Channel(ctx context.Context) (*iso7816.Channel, error) {
	if d.channel != nil && d.on == d.Card {
		return d.channel, nil
	}
	if d.Handle && d.on != nil && d.on != d.Card {
		return nil, problem.New("card-changed", "another card was put into %s", Reader)
	}
	connection, err := d.Connect(ctx)
	if err != nil {
		return nil, err
	}
	d.connection, d.on = connection, d.Card
	if d.Taken != nil {
		d.Taken()
	}
	var there iso7816.Transmitter = connection
	if d.Strange {
		there = strange{connection}
	}
	if d.Sent != nil {
		there = spied{there, d.Sent}
	}
	d.channel = iso7816.NewChannel(there, iso7816.CapabilitiesOf(iso7816.HistoricalBytes(connection.ATR())))
	return d.channel, nil
}

// Release lets the card go, without a verified PIN.
func (d *Desk) Release() error {
	if d.channel == nil {
		return nil
	}
	verified := d.channel.Verified()
	d.channel = nil
	if d.Released != nil {
		defer d.Released()
	}
	if err := d.connection.Close(verified); err != nil && !errors.Is(err, iso7816.ErrCardRemoved) {
		return err
	}
	return nil
}

// Reader is what the programs call the reader.
func (d *Desk) Reader() string { return cmp.Or(d.Name, Reader) }

// strange is a card that does not tell that it is a MyEID card.
type strange struct{ iso7816.Transmitter }

func (s strange) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if bytes.HasPrefix(apdu, []byte{0x00, iso7816.InsGetData, 0x01, 0xA0}) {
		return []byte{0x6A, 0x88}, nil
	}
	return s.Transmitter.Transmit(ctx, apdu)
}

// spied tells of each command.
type spied struct {
	iso7816.Transmitter
	sent func(apdu []byte)
}

func (s spied) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	s.sent(apdu)
	return s.Transmitter.Transmit(ctx, apdu)
}
