package stack

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync/atomic"
)

// Wire stands between a card and a virtual reader and counts the APDUs that
// every program together sends, with all their bytes.
type Wire struct {
	// Address is what the card connects to.
	Address string

	apdus, bytes atomic.Int64
}

// Count is a number of command APDUs, and the bytes of these and of their
// answers.
type Count struct{ APDUs, Bytes int }

// Sub is what came since an earlier count.
func (c Count) Sub(earlier Count) Count {
	return Count{APDUs: c.APDUs - earlier.APDUs, Bytes: c.Bytes - earlier.Bytes}
}

// Add is both.
func (c Count) Add(other Count) Count {
	return Count{APDUs: c.APDUs + other.APDUs, Bytes: c.Bytes + other.Bytes}
}

// Count is what passed until now.
func (w *Wire) Count() Count {
	return Count{APDUs: int(w.apdus.Load()), Bytes: int(w.bytes.Load())}
}

// wire lays a wire to virtual reader 0 or 1.
func (d *Desk) wire(reader int) *Wire {
	d.tb.Helper()
	listener, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		d.tb.Fatal(err)
	}
	w := &Wire{Address: listener.Addr().String()}
	d.tb.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			card, err := listener.Accept()
			if err != nil {
				return // the test is over
			}
			w.connect(card, reader)
		}
	}()
	return w
}

// connect passes messages on until one side ends.
func (w *Wire) connect(card net.Conn, reader int) {
	defer func() { _ = card.Close() }()
	driver, err := net.Dial("tcp", vpcdAddress(reader))
	if err != nil {
		return // the card sees its end and says so
	}
	defer func() { _ = driver.Close() }()
	fromDriver, fromCard := promptly(driver), promptly(card)
	for {
		command, err := pass(fromDriver, card)
		if err != nil {
			return
		}
		apdu := len(command) > 1
		if !apdu && command[0] != requestATR {
			continue // power and reset have no answer
		}
		answer, err := pass(fromCard, driver)
		if err != nil {
			return
		}
		if apdu {
			w.apdus.Add(1)
			w.bytes.Add(int64(len(command) + len(answer)))
		}
	}
}

// prompt is a connection without delayed acknowledgement, where the system
// can do that; else every APDU costs 40 ms more.
type prompt struct{ *net.TCPConn }

func promptly(conn net.Conn) io.Reader {
	if tcp, ok := conn.(*net.TCPConn); ok {
		conn = prompt{tcp}
	}
	return bufio.NewReader(conn)
}

// requestATR is the only message of one byte that a card answers; the others
// are off, on and reset.
const requestATR = 4

// pass hands one message on, in one segment: its length in two bytes, then the
// message.
func pass(from io.Reader, to io.Writer) ([]byte, error) {
	length := make([]byte, 2)
	if _, err := io.ReadFull(from, length); err != nil {
		return nil, err
	}
	framed := append(length, make([]byte, binary.BigEndian.Uint16(length))...)
	message := framed[2:]
	if len(message) == 0 {
		return nil, errors.New("empty message")
	}
	if _, err := io.ReadFull(from, message); err != nil {
		return nil, err
	}
	_, err := to.Write(framed)
	return message, err
}
