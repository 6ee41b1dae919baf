package cardsim

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// connection is the card in the hands of this process.
type connection struct {
	card *Card
	atr  []byte
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
	if n.card.connection != n {
		return nil, fmt.Errorf("simulated card %s: %w", n.card.name, iso7816.ErrCardRemoved)
	}
	return n.card.transmit(apdu)
}

// Close lets the card go. It keeps its power; with reset it forgets what was
// verified and selected.
func (n *connection) Close(reset bool) error {
	n.card.mu.Lock()
	defer n.card.mu.Unlock()
	if n.card.connection != n {
		return nil // removed, or closed before
	}
	n.card.connection = nil
	if reset {
		n.card.reset()
	}
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
