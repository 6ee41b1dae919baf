//go:build stack

package ledger_test

import (
	"bytes"
	"context"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
)

// network is the way to a server, which can be cut: then nothing arrives, and nobody is
// told.
type network struct {
	dir, to string

	mu    sync.Mutex
	up    chan struct{} // closed while there is a way
	conns []net.Conn
	at    string // cuts it when it is sent to the server
	then  func()
}

func newNetwork(t *testing.T, socket string) *network {
	t.Helper()
	n := &network{dir: stack.Shared(t, "far-"), to: socket, up: make(chan struct{})}
	close(n.up)
	var config net.ListenConfig
	listener, err := config.Listen(context.Background(), "unix", filepath.Join(n.dir, filepath.Base(socket)))
	must(t, err)
	t.Cleanup(func() {
		_ = listener.Close()
		n.mend()
	})
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			go n.pass(near)
		}
	}()
	return n
}

// pass passes on what is sent.
func (n *network) pass(near net.Conn) {
	<-n.way()
	far, err := net.Dial("unix", n.to)
	if err != nil {
		_ = near.Close()
		return
	}
	n.mu.Lock()
	n.conns = append(n.conns, near, far)
	n.mu.Unlock()
	for _, ends := range [][2]net.Conn{{near, far}, {far, near}} {
		go func() {
			defer func() { _, _ = ends[0].Close(), ends[1].Close() }()
			b := make([]byte, 32<<10)
			for {
				k, err := ends[0].Read(b)
				if err != nil {
					return
				}
				if ends[1] == far {
					n.sent(b[:k])
				}
				<-n.way()
				if _, err := io.Copy(ends[1], strings.NewReader(string(b[:k]))); err != nil {
					return
				}
			}
		}()
	}
}

func (n *network) way() chan struct{} {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.up
}

// cutAt cuts the network when a text is sent to the server, and then calls a function.
func (n *network) cutAt(text string, then func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.at, n.then = text, then
}

func (n *network) sent(b []byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.at == "" || !bytes.Contains(b, []byte(n.at)) {
		return
	}
	n.cut()
	n.then()
	n.at, n.then = "", nil
}

// cut cuts the network, and mend mends it: what was sent in the meantime is lost. Its
// caller has the lock.
func (n *network) cut() {
	select {
	case <-n.up:
		n.up = make(chan struct{})
	default:
	}
}

func (n *network) mend() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.conns {
		_ = c.Close()
	}
	n.conns = nil
	select {
	case <-n.up:
	default:
		close(n.up)
	}
}
