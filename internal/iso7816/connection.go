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

// ErrNotCarried is returned by a Connection when the reader got no answer for a command,
// although the card seems to be there.
var ErrNotCarried = errors.New("the reader could not carry the command out")

// Transmitter sends one command APDU and returns the answer, status word
// last. A context that ends makes it return early; the card may still have
// carried the command out.
type Transmitter interface {
	Transmit(ctx context.Context, apdu []byte) ([]byte, error)
}

// ErrReleased is what a command is that is sent while the card is released, or
// after the connection was closed.
var ErrReleased = errors.New("the card is released")

// Connection is a powered card, with nobody else between two commands: it
// holds a transaction from when it is made to Close, except between Release and
// Resume.
type Connection interface {
	Transmitter

	// ATR is the answer to reset, at most 33 bytes.
	ATR() []byte

	// Release ends the transaction and stays connected: others can use the
	// card now, and a card that is taken out is noticed even if another one
	// takes its place. With reset, the card forgets what was verified and
	// selected. A card that has gone already is no error here; Resume says
	// so. Until then, a command is ErrReleased.
	Release(reset bool) error

	// Resume begins a transaction again, and does nothing within one. It is
	// ErrCardRemoved if the card was taken out since the connection was made,
	// whatever is in the reader now, and from then on always. That others
	// reset the card is no error: nothing that was selected or verified
	// before Release is to be relied upon. Another program that holds the
	// card is waited for and named as when the connection was made; after
	// that, Resume can be tried again.
	Resume(ctx context.Context) error

	// Close ends the transaction, if there is one, and lets the card go. With
	// reset, the card forgets what was verified and selected.
	Close(reset bool) error
}
