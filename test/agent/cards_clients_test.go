//go:build stack

package agent_test

import (
	"bufio"
	"io"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/cardctl/cardctl/test/stack"
)

// program starts testdata/client.py; said are the lines that it prints.
func (d *agentDesk) program(t *testing.T, does string) (p *stack.Process, said <-chan string) {
	t.Helper()
	file, err := filepath.Abs("testdata/client.py")
	if err != nil {
		t.Fatal(err)
	}
	read, write := io.Pipe()
	t.Cleanup(func() { _ = read.Close() })
	lines := make(chan string, 100)
	go func() {
		for text := bufio.NewScanner(read); text.Scan(); {
			lines <- text.Text()
		}
	}()
	return d.Process(t.Context(), write, os.Stderr, "/usr/bin/python3", file, module, does), lines
}

// says waits for a line of a program.
func says(t *testing.T, said <-chan string, want string) {
	t.Helper()
	select {
	case line := <-said:
		if line != want {
			t.Errorf("it says %q, not %q", line, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("it does not say %q", want)
	}
}

// TestClientDies has a program die in the middle of a signature: the agent forgets it, and
// others go on.
func TestClientDies(t *testing.T) {
	d, _ := newCardDesk(t, myEID)
	others := d.status(t).Clients
	p, said := d.program(t, "hold")
	says(t, said, "ready")
	if n := d.status(t).Clients; n != others+1 {
		t.Errorf("%d clients", n-others)
	}
	d.signs(t, myEID, myEID.keys[0])
	if err := p.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	d.Eventually("the agent has forgotten the program", func() bool { return d.status(t).Clients == others })
	d.signs(t, myEID, myEID.keys[1])
	d.once(t)
}

// TestClientForks has a program fork once it has initialised the module: parent and child
// go on, and others too.
func TestClientForks(t *testing.T) {
	d, _ := newCardDesk(t, myEID)
	p, said := d.program(t, "fork")
	says(t, said, "child 0, 1 tokens")
	if status := p.Wait(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	d.signs(t, myEID, myEID.keys[0])
	d.once(t)
}
