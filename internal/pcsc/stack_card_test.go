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
	gone       chan struct{}

	mu       sync.Mutex
	work     time.Duration
	verified bool
	working  bool
}

// insert puts a card into the virtual reader; the test takes it out again.
func insert(t *testing.T) *virtualCard {
	t.Helper()
	connection, err := net.Dial("tcp", vpcdAddress)
	if err != nil {
		t.Fatalf("no virtual reader waits for a card: %v", err)
	}
	c := &virtualCard{connection: connection, gone: make(chan struct{})}
	go c.serve()
	t.Cleanup(c.remove)
	return c
}

func (c *virtualCard) remove() {
	_ = c.connection.Close()
	<-c.gone
}

func (c *virtualCard) serve() {
	defer close(c.gone)
	for {
		var length uint16
		if binary.Read(c.connection, binary.BigEndian, &length) != nil {
			return
		}
		message := make([]byte, length)
		if _, err := io.ReadFull(c.connection, message); err != nil {
			return
		}
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
