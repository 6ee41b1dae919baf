package pcsc

import (
	"context"
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// errWorking is a card that cannot be released, as a command that was given up
// is still running on it. Close waits for its end, in the background.
var errWorking = errors.New("the card is still working on an abandoned command")

// Release ends the transaction. The handle stays connected, in shared mode: the
// resource manager notes on it that the card was taken out or reset, where a
// new connection would find whatever card is there then. Meanwhile others can
// connect and begin transactions, but not in exclusive mode, as scdaemon does:
// that is a sharing violation for them until Close.
func (c *connection) Release(reset bool) error {
	if !c.turn.TryLock() {
		return errWorking
	}
	defer c.turn.Unlock()
	if !c.held {
		return nil
	}
	c.held = false
	err := c.card.endTransaction(reset)
	if err == nil {
		return nil
	}
	if err = c.transmitError(err); errors.Is(err, iso7816.ErrCardRemoved) {
		return nil
	}
	return fmt.Errorf("release the card: %w", err)
}

// Resume begins a transaction again. When ctx ends it returns at once; a
// transaction that begins after all is ended again.
func (c *connection) Resume(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	waiting, stop := context.WithTimeout(ctx, c.patience.limit)
	defer stop()
	done := make(chan error, 1)
	go func() {
		c.turn.Lock()
		done <- c.resume(waiting)
	}()
	select {
	case err := <-done:
		c.turn.Unlock()
		return c.patience.problem(ctx, waiting, err)
	case <-waiting.Done():
		go func() {
			if <-done == nil && c.held {
				c.held = false
				_ = c.card.endTransaction(false)
			}
			c.turn.Unlock()
		}()
		return c.patience.problem(ctx, waiting, waiting.Err())
	}
}

func (c *connection) resume(ctx context.Context) error {
	switch {
	case c.closed:
		return iso7816.ErrReleased
	case c.held:
		return nil
	}
	_, err := lock(ctx, c.card)
	if err == nil {
		c.held, c.fresh = true, true
		if !c.swapped() {
			return nil
		}
		c.held = false
		err = errors.Join(codeRemovedCard, c.card.endTransaction(false))
	} else if c.swapped() {
		err = errors.Join(codeRemovedCard, err)
	}
	err = c.transmitError(err)
	c.removed = c.removed || errors.Is(err, iso7816.ErrCardRemoved)
	return err
}

// insertions is how often a card was put into the reader or taken out, modulo
// 2^16; 0 where the resource manager does not count.
func insertions(s system, reader string) (uint16, error) {
	states := []readerState{{reader: reader}}
	err := s.getStatusChange(states, 0)
	return uint16(states[0].event >> 16), err
}

// swapped reports whether the card that the connection was made to has left the
// reader. The code for it on the handle is not enough: where another card comes
// in and is reset, PC/SC lite replaces it by that of a reset.
func (c *connection) swapped() bool {
	now, err := insertions(c.system, c.reader)
	c.removed = c.removed || err == nil && now != c.inserted
	return c.removed
}
