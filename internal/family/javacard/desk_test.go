package javacard

import (
	"context"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/card"
	"github.com/cardctl/cardctl/internal/cardsim"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/pin"
)

// slot is a reader with a card that can be another one.
type slot struct{ card iso7816.Transmitter }

func (s *slot) List() ([]cardsim.Info, error) { return nil, nil }

func (s *slot) Connect(context.Context, string) (iso7816.Connection, error) {
	return &connection{slot: s}, nil
}

// connection is one to the card in a slot that notices nothing.
type connection struct {
	*slot
	released bool
}

func (c *connection) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if c.released {
		return nil, iso7816.ErrReleased
	}
	return c.card.Transmit(ctx, apdu)
}

func (c *connection) ATR() []byte                  { return []byte{0x3B, 0x00} }
func (c *connection) Release(bool) error           { c.released = true; return nil }
func (c *connection) Resume(context.Context) error { c.released = false; return nil }
func (c *connection) Close(bool) error             { return nil }

// open opens the line to the card in a slot.
func (s *slot) open(t *testing.T, state string) *desk.Line {
	t.Helper()
	d := &desk.Desk{
		Simulated: s, Meant: desk.Selection{Reader: "sim:desk"},
		StateDir: func() (string, error) { return state, nil },
	}
	line, err := d.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = line.Close() })
	return line
}

// opened opens an application of the family.
func opened(t *testing.T, line *desk.Line, app string, allow ...pin.Allow) (card.Card, error) {
	t.Helper()
	policy := pin.New(nil, append(allow, pin.Allow{})[0])
	return Family().Open(t.Context(), line, card.Opening{App: app, Access: key.Access{Policy: policy, Now: time.Now}})
}

// javaCard is a simulated Java card.
func javaCard(t *testing.T, serial string, faults ...cardsim.Fault) iso7816.Transmitter {
	t.Helper()
	c, err := cardsim.NewCard(cardsim.Options{Applications: []string{"gp"}, Serial: serial}, faults...)
	if err != nil {
		t.Fatal(err)
	}
	connection, err := c.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close(true) })
	return connection
}

// silent is a card that answers an instruction by a status word.
type silent struct {
	iso7816.Transmitter
	ins byte
	sw1 byte
	sw2 byte
}

func (s *silent) Transmit(ctx context.Context, apdu []byte) ([]byte, error) {
	if apdu[1] == s.ins {
		return []byte{s.sw1, s.sw2}, nil
	}
	return s.Transmitter.Transmit(ctx, apdu)
}
