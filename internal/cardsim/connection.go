package cardsim

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// connection is the card in the hands of this process, or released by it.
type connection struct {
	card     *Card
	atr      []byte
	removals int  // of the card when the connection was made
	released bool // others may hold the card
	closed   bool
}

// ATR is the answer to reset, at most 33 bytes.
func (n *connection) ATR() []byte { return bytes.Clone(n.atr) }

// Transmit sends one command APDU after the latency of the card.
func (n *connection) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if err := wait(ctx, n.card.latency()); err != nil {
		return nil, err
	}
	n.card.mu.Lock()
	defer n.card.mu.Unlock()
	switch {
	case n.removed():
		return nil, n.gone()
	case n.released:
		return nil, fmt.Errorf("simulated card %s: %w", n.card.name, iso7816.ErrReleased)
	}
	return n.card.transmit(apdu)
}

// removed reports whether the card was taken out since the connection was made,
// or the connection was closed.
func (n *connection) removed() bool { return n.closed || n.card.removals != n.removals }

func (n *connection) gone() error {
	return fmt.Errorf("simulated card %s: %w", n.card.name, iso7816.ErrCardRemoved)
}

// Release lets others connect to the card until Resume, in this process and,
// where the card is kept in a store, in others.
func (n *connection) Release(reset bool) error {
	n.card.mu.Lock()
	defer n.card.mu.Unlock()
	n.release(reset)
	if n.card.connection == nil && !n.card.attached {
		n.card.medium.suspend()
	}
	return nil
}

func (n *connection) release(reset bool) {
	if n.released || n.removed() {
		return
	}
	n.released = true
	n.card.connection = nil
	if reset {
		n.card.reset()
	}
}

// Resume holds the card again. It is a *BusyError where somebody else holds it.
func (n *connection) Resume(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	n.card.mu.Lock()
	defer n.card.mu.Unlock()
	if n.removed() {
		return n.gone()
	}
	if !n.released {
		return nil
	}
	if err := n.card.take(); err != nil {
		return err
	}
	n.released, n.card.connection = false, n
	return nil
}

// Close lets the card go. It keeps its power; with reset it forgets what was
// verified and selected.
func (n *connection) Close(reset bool) error {
	n.card.mu.Lock()
	defer n.card.mu.Unlock()
	n.release(reset)
	if reset && n.released && !n.removed() && n.card.free() == nil {
		n.card.reset()
	}
	n.closed = true
	return nil
}

// wait is a sleep that ends with ctx.
func wait(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
