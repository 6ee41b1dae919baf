// Package pcsc is the PC/SC resource manager: its readers, cards that are
// inserted and removed, and a connection that keeps other programs out. It
// reports which program holds a card that is busy. The contents of an APDU are
// left to others.
package pcsc

import (
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// DefaultBusyTimeout is how long Connect waits for another program to end its
// transaction.
const DefaultBusyTimeout = 5 * time.Second

// Options are what Open can be told. The zero value is usable.
type Options struct {
	// BusyTimeout is how long Connect waits for another program to end its
	// transaction; 0 is DefaultBusyTimeout. A context that ends earlier
	// wins.
	BusyTimeout time.Duration
}

// Reader is a card slot as the resource manager sees it.
type Reader struct {
	// Name is exactly what PC/SC calls the reader.
	Name string

	CardPresent bool

	// ATR is the card's answer to reset, at most 33 bytes; nil where there
	// is no card, or a mute one.
	ATR []byte

	// Exclusive says that a program has the card to itself, InUse that at
	// least one is connected to it and others may be.
	Exclusive, InUse bool

	// Mute says that the card does not answer to reset.
	Mute bool

	// Changes counts how often a card was put in or taken out, if the resource manager
	// does; else it is 0.
	Changes uint16
}

// Connection is a card that is connected and locked.
var _ iso7816.Connection = (*connection)(nil)
