package iso7816

import (
	"context"
	"errors"
)

// ErrCardRemoved is returned by a Connection whose card or reader went away.
var ErrCardRemoved = errors.New("the card was removed")

// ErrCardReset is returned by a Connection when another program reset the
// card: what was selected and verified before is gone.
var ErrCardReset = errors.New("the card was reset by another program")

// Transmitter sends one command APDU and returns the answer, status word
// last. A context that ends makes it return early; the card may still have
// carried the command out.
type Transmitter interface {
	Transmit(ctx context.Context, apdu []byte) ([]byte, error)
}

// Connection is a powered card, with nobody else between two commands: it
// holds a transaction from when it is made to Close.
type Connection interface {
	Transmitter

	// ATR is the answer to reset, at most 33 bytes.
	ATR() []byte

	// Close ends the transaction and lets the card go. With reset, the card
	// forgets what was verified and selected.
	Close(reset bool) error
}
