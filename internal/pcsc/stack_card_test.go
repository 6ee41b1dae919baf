//go:build cgo && stack

package pcsc

import (
	"encoding/binary"
	"io"
	"net"
	"sync"
	"testing"
	"time"
)

const (
	virtualReader = "Virtual PCD 00 00"
	vpcdAddress   = "localhost:35963"
)

// answerToReset is that of a card that speaks T=1 and has no historical bytes.
var answerToReset = []byte{0x3B, 0x80, 0x80, 0x01, 0x01}

// virtualCard is the least that a virtual reader takes for a card. VERIFY (20)
// is remembered until a reset, READ BINARY (B0) is allowed after it, WAIT (10)
// takes as long as work is set to.
type virtualCard struct {
	connection net.Conn
	asked      chan struct{} // closed when the reader has noticed the card
	gone       chan struct{}

	mu       sync.Mutex
	work     time.Duration
	verified bool
	working  bool
}

// insert puts a card into the virtual reader; the test takes it out again. The
// reader may be about to hang up on the card before: then it is done again.
func insert(t *testing.T) *virtualCard {
	t.Helper()
	for range 5 {
		connection, err := net.Dial("tcp", vpcdAddress)
		if err != nil {
			t.Fatalf("no virtual reader waits for a card: %v", err)
		}
		c := &virtualCard{connection: connection, asked: make(chan struct{}), gone: make(chan struct{})}
		go c.serve()
		select {
		case <-c.asked:
			t.Cleanup(c.remove)
			return c
		case <-c.gone:
		case <-time.After(2 * time.Second):
			c.remove()
		}
	}
	t.Fatal("the virtual reader does not ask for its card")
	return nil
}

func (c *virtualCard) remove() {
	_ = c.connection.Close()
	<-c.gone
}

func (c *virtualCard) serve() {
	defer close(c.gone)
	noticed := sync.OnceFunc(func() { close(c.asked) })
	for {
		var length uint16
		if binary.Read(c.connection, binary.BigEndian, &length) != nil {
			return
		}
		message := make([]byte, length)
		if _, err := io.ReadFull(c.connection, message); err != nil {
			return
		}
		noticed()
		answer := c.answer(message)
		if answer == nil {
			continue
		}
		if _, err := c.connection.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

func (c *virtualCard) answer(message []byte) []byte {
	if len(message) == 1 {
		if message[0] == 4 {
			return answerToReset
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		c.verified = false
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	switch message[1] {
	case 0x20:
		c.verified = true
	case 0xB0:
		if !c.verified {
			return []byte{0x69, 0x82}
		}
	case 0x10:
		c.working = true
		work := c.work
		c.mu.Unlock()
		time.Sleep(work)
		c.mu.Lock()
		c.working = false
	}
	return []byte{0x90, 0x00}
}

func (c *virtualCard) setWork(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.work = d
}

func (c *virtualCard) isWorking() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.working
}
