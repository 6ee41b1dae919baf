package cardsim

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/cardctl/cardctl/internal/iso7816"
)

// DefaultAddress is where the first virtual reader of vsmartcard-vpcd waits
// for its card.
const DefaultAddress = "localhost:35963"

// Errors of Attach that callers tell apart.
var (
	// ErrNoReader is when nobody waits for a card at the address.
	ErrNoReader = errors.New("no virtual reader there")

	// ErrReaderOccupied is when the reader took the connection and then
	// never asked for the card: another card sits in it already, or the
	// PC/SC daemon does not look at it.
	ErrReaderOccupied = errors.New("the virtual reader does not ask for the card: another card is in it, or the PC/SC daemon stands still")
)

// Messages of vpcd, one byte each; anything longer is a command APDU.
const (
	vpcdOff   = 0
	vpcdOn    = 1
	vpcdReset = 2
	vpcdATR   = 4
)

// firstMessage is how long a reader may take to notice its card. The PC/SC
// daemon looks every 0.4 seconds.
const firstMessage = 5 * time.Second

// Attach puts the card into the virtual reader at address (host:port) and
// serves it until ctx ends, which is no error, or until the reader goes away.
// A fault that removes the card ends it with an error that wraps
// iso7816.ErrCardRemoved. When the reader has noticed the card, attached is
// called, if it is not nil.
func (c *Card) Attach(ctx context.Context, address string, attached func()) error {
	return c.attach(ctx, address, attached, func([]byte) {})
}

// attach is Attach, with what is told of every message after it was answered.
func (c *Card) attach(ctx context.Context, address string, attached func(), done func(message []byte)) error {
	if err := c.occupy(); err != nil {
		return err
	}
	defer c.vacate()
	dialer := net.Dialer{Timeout: firstMessage}
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		var waited net.Error
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.As(err, &waited) && waited.Timeout():
			return fmt.Errorf("attach to %s: %w", address, ErrReaderOccupied)
		}
		return fmt.Errorf("attach to %s: %w: %w", address, ErrNoReader, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	tcp, _ := conn.(*net.TCPConn)
	if tcp != nil {
		_ = tcp.SetNoDelay(true) // which is Go's default, and matters here
	}
	if err := c.serve(ctx, conn, tcp, attached, done); ctx.Err() == nil {
		return fmt.Errorf("attach to %s: %w", address, err)
	}
	return nil
}

func (c *Card) occupy() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.take(); err != nil {
		return err
	}
	c.attached = true
	return nil
}

func (c *Card) vacate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attached = false
	c.powerOff()
}

// serve answers the reader's messages.
func (c *Card) serve(ctx context.Context, conn net.Conn, tcp *net.TCPConn, attached func(), done func([]byte)) error {
	_ = conn.SetReadDeadline(time.Now().Add(c.noticed))
	for first := true; ; first = false {
		acknowledgeAtOnce(tcp)
		message, err := readMessage(conn)
		if err != nil {
			var timeout net.Error
			if first && errors.As(err, &timeout) && timeout.Timeout() {
				return ErrReaderOccupied
			}
			return fmt.Errorf("the virtual reader went away: %w", err)
		}
		if first {
			_ = conn.SetReadDeadline(time.Time{})
			if attached != nil {
				attached()
			}
		}
		answer, err := c.message(ctx, message)
		if err != nil {
			return err
		}
		if answer != nil {
			if err := writeMessage(conn, answer); err != nil {
				return fmt.Errorf("the virtual reader went away: %w", err)
			}
		}
		done(message)
	}
}

// message does what one message of the reader says; control messages other
// than the one for the ATR have no answer.
func (c *Card) message(ctx context.Context, message []byte) ([]byte, error) {
	if len(message) == 1 {
		return c.control(message[0])
	}
	if err := wait(ctx, c.latency()); err != nil {
		return nil, err
	}
	if c.tap != nil {
		return c.tap.Transmit(ctx, message)
	}
	return wire{c}.Transmit(ctx, message)
}

// Tap lets the commands that come from a virtual reader pass through what tap
// puts before the card, such as a trace. It is called before Attach.
func (c *Card) Tap(tap func(iso7816.Transmitter) iso7816.Transmitter) { c.tap = tap(wire{c}) }

// wire is the card as a virtual reader reaches it.
type wire struct{ card *Card }

func (w wire) Transmit(_ context.Context, apdu []byte) ([]byte, error) {
	c := w.card
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.powered {
		// A reader that forgets to power the card has to be forgiven.
		if err := c.powerOn(); err != nil {
			return nil, err
		}
	}
	return c.transmit(apdu)
}

func (c *Card) control(message byte) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch message {
	case vpcdOff:
		c.powerOff()
	case vpcdOn:
		if !c.powered {
			return nil, c.powerOn()
		}
	case vpcdReset:
		if !c.powered {
			return nil, c.powerOn()
		}
		c.reset()
	case vpcdATR:
		return c.atr(), nil
	}
	return nil, nil
}

func readMessage(r io.Reader) ([]byte, error) {
	var header [2]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.BigEndian.Uint16(header[:]))
	_, err := io.ReadFull(r, message)
	return message, err
}

// writeMessage sends length and payload in one segment: in two, the second
// waits for the delayed acknowledgement of the first.
func writeMessage(w io.Writer, payload []byte) error {
	if len(payload) > 0xFFFF {
		return fmt.Errorf("%d bytes are too many for a message", len(payload))
	}
	message := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(payload)), uint16(len(payload)))
	_, err := w.Write(append(message, payload...))
	return err
}
