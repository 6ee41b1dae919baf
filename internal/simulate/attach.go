package simulate

import (
	"context"
	"errors"
	"io"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// DefaultAddress is where the virtual reader of Debian's vsmartcard-vpcd waits.
const DefaultAddress = cardsim.DefaultAddress

// secondAddress is where the second virtual reader of vsmartcard-vpcd waits.
const secondAddress = "localhost:35964"

// Attachment is a card in a virtual reader.
type Attachment struct {
	Name, Address string
	// Trace is where the trace of what every program sends to the card goes; nil for
	// none.
	Trace io.Writer
	// Attached is called once the reader has the card.
	Attached func(Card) error
}

// Attach puts a card into a virtual reader of the PC/SC daemon until ctx ends,
// which is no error.
func Attach(ctx context.Context, cards *desk.SimulatedStore, a Attachment) error {
	store, err := cards.Store()
	if err != nil {
		return err
	}
	c, err := store.Open(a.Name)
	if err != nil {
		return desk.SimulatedProblem(err, a.Name)
	}
	if a.Trace != nil {
		c.Tap(func(wire iso7816.Transmitter) iso7816.Transmitter { return iso7816.NewTracer(wire, a.Trace) })
	}
	var told error
	err = c.Attach(ctx, a.Address, func() {
		var attached Card
		if attached, told = find(cards, a.Name); told == nil {
			told = a.Attached(attached)
		}
	})
	return errors.Join(a.explain(errors.Join(err, told)), c.Close())
}

func (a *Attachment) explain(err error) error {
	switch {
	case errors.Is(err, cardsim.ErrNoReader):
		return problem.Wrap(problem.NotFound, err, "no virtual reader at "+a.Address).
			Because("The PC/SC daemon is not running, its virtual reader holds another card, or it has none. The Debian package vsmartcard-vpcd provides one.").
			Advise(advice.Do(advice.Diagnose))
	case errors.Is(err, cardsim.ErrReaderOccupied):
		return problem.Wrap(problem.CardBusy, err, "the virtual reader at "+a.Address+" does not accept the card").
			Because("The reader holds another card, or the PC/SC daemon does not respond.").
			Advise(advice.Repeat(advice.Set(advice.Address, a.otherAddress())))
	}
	return err
}

// otherAddress is that of the other of two virtual readers.
func (a *Attachment) otherAddress() string {
	if a.Address == secondAddress {
		return DefaultAddress
	}
	return secondAddress
}
