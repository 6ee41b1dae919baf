package cardsim

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// Reader is a card reader in which another card takes the place of the one that
// was there, at a moment that a test chooses, and that keeps what each of them
// was sent.
//
//	reader := cardsim.NewReader(card)
//	twin, err := card.Twin()                            // the same state, another card
//	reader.SwapAt(cardsim.WhenFree(2), twin)            // or BeforeAPDU(7)
//	connection, err := reader.Connect(ctx)              // in process: in the place of Card.Connect
//	err = reader.Attach(ctx, cardsim.DefaultAddress, nil) // or through the PC/SC daemon
//	…
//	for _, stay := range reader.Stays() {
//		… stay.Card, stay.Sent(), stay.Changed()
//	}
//
// A test that knows the moment itself, such as a program that a command waits
// for, calls Swap. A plan that did not come about leaves one stay.
type Reader struct {
	mu       sync.Mutex
	stays    []*Stay
	plan     map[Moment]*Card
	apdus    int
	frees    int
	attached bool
}

// Moment is when another card comes into the reader.
type Moment struct{ apdu, free int }

// BeforeAPDU is the moment when a card would see the n-th command APDU, counted
// from 1 over all cards.
func BeforeAPDU(n int) Moment { return Moment{apdu: n} }

// WhenFree is the n-th time that nobody works on the card any more, counted from
// 1. In process it is when a connection is released or closed. The wire of a
// virtual reader shows no transactions: there it is when the card was reset, or
// lost its power, after a command, which is how every use of a PIN ends.
func WhenFree(n int) Moment { return Moment{free: n} }

// NewReader returns a reader with a card in it.
func NewReader(first *Card) *Reader {
	return &Reader{stays: []*Stay{newStay(first)}, plan: map[Moment]*Card{}}
}

// SwapAt lets another card come into the reader at a moment, in the place of the
// one that is there then.
func (r *Reader) SwapAt(at Moment, next *Card) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.plan[at] = next
}

// Swap takes the card out and puts another one in. In a virtual reader that
// takes a second or two; Swap returns when the reader has noticed the new card,
// or when nothing is attached any more.
func (r *Reader) Swap(next *Card) {
	r.mu.Lock()
	stay, attached := r.swap(next), r.attached
	r.mu.Unlock()
	if attached {
		<-stay.arrived
	}
}

// Stays are the cards in the order in which they came into the reader, the one
// that is in it now last.
func (r *Reader) Stays() []*Stay {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.stays)
}

func (r *Reader) now() *Stay { return r.stays[len(r.stays)-1] }

func (r *Reader) swap(next *Card) *Stay {
	old, stay := r.now(), newStay(next)
	r.stays = append(r.stays, stay)
	old.Card.remove()
	if old.out != nil {
		old.out()
	}
	return stay
}

// reached swaps the cards if that is planned for the moment.
func (r *Reader) reached(m Moment) {
	if next, ok := r.plan[m]; ok {
		r.swap(next)
	}
}

// freed notes that nobody works on the card of a stay any more.
func (r *Reader) freed(s *Stay) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s != r.now() {
		return
	}
	r.frees++
	r.reached(WhenFree(r.frees))
}

// arrive counts a command that is about to reach the card of a stay, and is
// false where that card has gone.
func (r *Reader) arrive(s *Stay, apdu []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s == r.now() {
		r.apdus++
		r.reached(BeforeAPDU(r.apdus))
	}
	if s != r.now() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sent = append(s.sent, bytes.Clone(apdu))
	return true
}

// Stay is the time of one card in a reader.
type Stay struct {
	Card *Card

	mu      sync.Mutex
	before  []byte
	sent    [][]byte
	out     func()        // takes it out of a virtual reader
	arrived chan struct{} // closed when a virtual reader has noticed it, or no longer looks
	once    sync.Once
}

func newStay(c *Card) *Stay {
	return &Stay{Card: c, before: c.State(), arrived: make(chan struct{})}
}

func (s *Stay) noticed() { s.once.Do(func() { close(s.arrived) }) }

// Sent are the command APDUs that reached the card.
func (s *Stay) Sent() [][]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.sent)
}

// Changed reports whether the state of the card that survives a reset is
// another one than when it came into the reader. That a try was used up is a
// change.
func (s *Stay) Changed() bool { return !bytes.Equal(s.before, s.Card.State()) }

// State is what survives the loss of power.
func (c *Card) State() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return bytes.Clone(c.persisted)
}

// Twin is another card with the same state, serial number and keys included,
// kept in memory.
func (c *Card) Twin() (*Card, error) {
	return newCard(c.name+"'", c.State(), memory{}, nil, nil)
}

// remove takes the card out of where it is.
func (c *Card) remove() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.powerOff()
}

// Connect connects to the card that is in the reader, in this process.
func (r *Reader) Connect(ctx context.Context) (iso7816.Connection, error) {
	r.mu.Lock()
	stay := r.now()
	r.mu.Unlock()
	connection, err := stay.Card.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &readerConnection{Connection: connection, reader: r, stay: stay}, nil
}

// readerConnection is a connection to a card in a reader.
type readerConnection struct {
	iso7816.Connection
	reader *Reader
	stay   *Stay
	free   bool
}

func (c *readerConnection) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if !c.free {
		c.reader.arrive(c.stay, apdu)
	}
	return c.Connection.Transmit(ctx, apdu)
}

func (c *readerConnection) Release(reset bool) error {
	err := c.Connection.Release(reset)
	c.leave()
	return err
}

func (c *readerConnection) Resume(ctx context.Context) error {
	err := c.Connection.Resume(ctx)
	c.free = c.free && err != nil
	return err
}

func (c *readerConnection) Close(reset bool) error {
	err := c.Connection.Close(reset)
	c.leave()
	return err
}

func (c *readerConnection) leave() {
	if !c.free {
		c.free = true
		c.reader.freed(c.stay)
	}
}

// A swap of cards in a virtual reader.
const (
	// absence is how long the reader stays empty, so that the PC/SC daemon,
	// which looks every 0.4 seconds, has noticed.
	absence = 1200 * time.Millisecond
	// attempts bound how often the next card is put in: a reader that has not
	// hung up on the card before does not look at it.
	attempts = 5
)

// Attach puts the card into the virtual reader at address, as Card.Attach does,
// and after each swap the next one. It ends with ctx, or when the card that is in
// the reader ends. attached, if it is not nil, is called when a card was noticed.
func (r *Reader) Attach(ctx context.Context, address string, attached func()) error {
	defer r.detach()
	for failed := 0; ; {
		stay, inner := r.insert(ctx)
		err := stay.attach(inner, r, address, attached)
		stay.out()
		switch {
		case ctx.Err() != nil:
			return nil
		case r.swapped(stay):
			failed = 0
		case errors.Is(err, iso7816.ErrCardRemoved):
			return err
		case stay.hasArrived() || failed == attempts:
			return err
		default:
			failed++
		}
		if err := wait(ctx, absence); err != nil {
			return nil
		}
	}
}

// insert is the stay that is next in the virtual reader, and how long it lasts.
func (r *Reader) insert(ctx context.Context) (*Stay, context.Context) {
	r.mu.Lock()
	defer r.mu.Unlock()
	inner, out := context.WithCancel(ctx)
	r.now().out, r.attached = out, true
	return r.now(), inner
}

// detach is the end of Attach: nobody waits for a card to arrive any more.
func (r *Reader) detach() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.attached = false
	r.now().noticed()
}

func (r *Reader) swapped(s *Stay) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return s != r.now()
}

func (s *Stay) hasArrived() bool {
	select {
	case <-s.arrived:
		return true
	default:
		return false
	}
}

// attach serves the card of the stay until it is taken out.
func (s *Stay) attach(ctx context.Context, r *Reader, address string, attached func()) error {
	s.Card.Tap(func(card iso7816.Transmitter) iso7816.Transmitter { return &seat{reader: r, stay: s, card: card} })
	used, over := false, false
	return s.Card.attach(ctx, address, func() {
		s.noticed()
		if attached != nil {
			attached()
		}
	}, func(message []byte) {
		switch {
		case len(message) > 1:
			used = true
		case message[0] == vpcdReset, message[0] == vpcdOff:
			used, over = false, over || used
		case message[0] == vpcdATR && over:
			// The daemon has its answer to the reset; without it, it would
			// not look at the next card.
			over = false
			r.freed(s)
		}
	})
}

// seat is what stands between a virtual reader and the card of a stay.
type seat struct {
	reader *Reader
	stay   *Stay
	card   iso7816.Transmitter
}

func (t *seat) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if !t.reader.arrive(t.stay, apdu) {
		return nil, fmt.Errorf("simulated card %s: %w", t.stay.Card.name, iso7816.ErrCardRemoved)
	}
	return t.card.Transmit(ctx, apdu)
}
