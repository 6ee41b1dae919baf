package service_test

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/agent/client"
	"github.com/cardctl/cardctl/internal/agent/service"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/pcsc"
)

// still are readers with a card that does nothing.
type still struct{ readers }

type readers = desk.Readers

func (still) Connect(context.Context, string) (iso7816.Connection, error) { return motionless{}, nil }

type motionless struct{ iso7816.Connection }

func (motionless) Resume(context.Context) error { return nil }
func (motionless) Close(bool) error             { return nil }

// yieldingTo are those readers beside an agent with this control socket.
func yieldingTo(t *testing.T, socket string) desk.Readers {
	t.Helper()
	open := service.Yielding(func(context.Context, pcsc.Options) (desk.Readers, error) { return still{}, nil }, socket)
	readers, err := open(t.Context(), pcsc.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return readers
}

// use uses a card as a command does that asks a person meanwhile.
func use(t *testing.T, readers desk.Readers) time.Duration {
	t.Helper()
	begun := time.Now()
	c, err := readers.Connect(t.Context(), "Reader 0")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Resume(t.Context()); err != nil {
		t.Error(err)
	}
	if err := c.Close(false); err != nil {
		t.Error(err)
	}
	return time.Since(begun)
}

// The agent lets a card go each time that another command takes it, and reads it again at the
// end.
func TestYielding(t *testing.T) {
	socket := filepath.Join(private(t), service.Control)
	use(t, yieldingTo(t, socket)) // without an agent
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	var mu sync.Mutex
	var got []string
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_ = client.ServeControl(t.Context(), conn, func(_ context.Context, r client.Request) (*client.Status, error) {
				mu.Lock()
				defer mu.Unlock()
				got = append(got, r.Do+" "+r.Reader)
				return nil, nil
			})
		}
	}()
	use(t, yieldingTo(t, socket))
	mu.Lock()
	defer mu.Unlock()
	if !slices.Equal(got, []string{"release Reader 0", "release Reader 0", "reread Reader 0"}) {
		t.Error(got)
	}
}

// An agent that hangs is not waited for.
func TestYieldingToOneThatHangs(t *testing.T) {
	socket := filepath.Join(private(t), service.Control)
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	if took := use(t, yieldingTo(t, socket)); took > 10*time.Second {
		t.Errorf("it takes %s", took)
	}
}
