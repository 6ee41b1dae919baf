package cardfault

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
)

// name is that of the reader.
const name = "Reader 0"

// patience is how long a card that somebody holds is waited for.
const patience = 5 * time.Second

// reader is the only one, with a card or without. Whatever its card is asked for counts: each
// command, and each time that somebody takes the card.
type reader struct {
	mu      sync.Mutex
	card    *card // nil for none
	changes uint16
	open    []*connection

	count  int // since it was armed
	at     int // 0 for never
	strike func(*reader, *connection) error
	struck bool
	pin    bool // it went wrong as a PIN was sent
}

// card is one that can be in the reader, and what was done to it.
type card struct {
	sim      *cardsim.Card
	pins     int // PINs that it got
	refusals int // of these
	uses     int // of its keys
}

// arm has something go wrong at the n-th time that the card is asked for something, from now.
func (r *reader) arm(n int, strike func(*reader, *connection) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.count, r.at, r.strike, r.struck, r.pin = 0, n, strike, false, false
}

// disarm reports whether it went wrong.
func (r *reader) disarm() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at = 0
	return r.struck
}

// event counts; apdu is nil when the card is taken. Its caller has the lock.
func (r *reader) event(c *connection, apdu []byte) error {
	r.count++
	if r.count != r.at {
		return nil
	}
	r.struck, r.pin = true, sendsPIN(apdu)
	return r.strike(r, c)
}

// put puts a card in the place of what is there; nil for none. Its caller has the lock.
func (r *reader) put(c *card) {
	for _, one := range r.open {
		_ = one.Connection.Close(true) // its card is gone
	}
	r.open, r.card = nil, c
	r.changes++
}

// Readers is that of desk.Readers.
func (r *reader) Readers(context.Context) ([]pcsc.Reader, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return []pcsc.Reader{{Name: name, CardPresent: r.card != nil, Changes: r.changes}}, nil
}

// WaitForCard is that of desk.Readers; nobody waits.
func (r *reader) WaitForCard(context.Context, func(pcsc.Reader) bool) (pcsc.Reader, error) {
	return pcsc.Reader{}, errors.ErrUnsupported
}

// Close is that of desk.Readers.
func (r *reader) Close() error { return nil }

// opens is desk.OpenReaders.
func (r *reader) opens(context.Context, pcsc.Options) (desk.Readers, error) { return r, nil }

// Connect is that of desk.Readers.
func (r *reader) Connect(ctx context.Context, _ string) (iso7816.Connection, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.event(nil, nil); err != nil {
		return nil, err
	}
	if r.card == nil {
		return nil, fmt.Errorf("%s: %w", name, iso7816.ErrCardRemoved)
	}
	made, err := r.card.sim.Connect(ctx)
	for end := time.Now().Add(patience); errors.Is(err, cardsim.ErrBusy) && r.card != nil && time.Now().Before(end); {
		r.mu.Unlock()
		time.Sleep(time.Millisecond)
		r.mu.Lock()
		if r.card != nil {
			made, err = r.card.sim.Connect(ctx)
		}
	}
	if err != nil {
		return nil, err
	}
	c := &connection{Connection: made, reader: r, card: r.card, changes: r.changes}
	r.open = append(r.open, c)
	return c, nil
}

// connection is one with the card that was there when it was made.
type connection struct {
	iso7816.Connection

	reader  *reader
	card    *card
	changes uint16
	reset   bool // by another program, until it is taken again
}

func (c *connection) gone() error {
	if c.changes != c.reader.changes {
		return fmt.Errorf("%s: %w", name, iso7816.ErrCardRemoved)
	}
	return nil
}

// Transmit is that of iso7816.Connection.
func (c *connection) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	c.reader.mu.Lock()
	defer c.reader.mu.Unlock()
	lost := c.reader.event(c, apdu)
	if err := c.gone(); err != nil {
		return nil, err
	}
	if c.reset {
		return nil, iso7816.ErrCardReset
	}
	answer, err := c.Connection.Transmit(ctx, apdu)
	if err != nil {
		return nil, err
	}
	c.card.note(apdu, answer)
	if lost != nil { // the command was carried out, and its answer is not read any more
		c.reader.put(nil)
		return nil, lost
	}
	return answer, nil
}

// note counts what a card was asked for (ISO/IEC 7816-4, 11.5.6; 7816-8, 11.2).
func (c *card) note(apdu, answer []byte) {
	const authenticate, perform = 0x88, 0x2A
	switch general := apdu[1] == 0x87; {
	case sendsPIN(apdu):
		c.pins++
		if answer[0] != 0x90 {
			c.refusals++
		}
	case apdu[1] == authenticate, apdu[1] == perform, general && apdu[3] != 0x9B: // 9B is the management key of PIV
		c.uses++
	}
}

func sendsPIN(apdu []byte) bool { return len(apdu) > 5 && apdu[1] == iso7816.InsVerify }

// Release is that of iso7816.Connection.
func (c *connection) Release(reset bool) error {
	c.reader.mu.Lock()
	defer c.reader.mu.Unlock()
	if c.gone() != nil {
		return nil
	}
	return c.Connection.Release(reset)
}

// Resume is that of iso7816.Connection.
func (c *connection) Resume(ctx context.Context) error {
	c.reader.mu.Lock()
	defer c.reader.mu.Unlock()
	if err := c.reader.event(nil, nil); err != nil {
		return err
	}
	if err := c.gone(); err != nil {
		return err
	}
	c.reset = false
	return c.Connection.Resume(ctx)
}

// Close is that of iso7816.Connection.
func (c *connection) Close(reset bool) error {
	c.reader.mu.Lock()
	defer c.reader.mu.Unlock()
	if c.gone() != nil {
		return nil
	}
	return c.Connection.Close(reset)
}
