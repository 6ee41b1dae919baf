package stack

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/creack/pty"
)

// AtTerminal runs a command at a terminal of its own, where answer is asked what
// a person types: it is given what appeared since the last time that something
// was typed, and returns "" to wait for more. The result's Stdout is all that
// appeared.
func (d *Desk) AtTerminal(answer func(screen string) string, name string, args ...string) Result {
	d.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := d.command(ctx, name, args...)
	terminal, err := pty.Start(cmd)
	if err != nil {
		d.tb.Fatalf("%s: %v", name, err)
	}
	defer func() { _ = terminal.Close() }()
	watched := &screen{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		buffer := make([]byte, 4096)
		for {
			n, err := terminal.Read(buffer)
			watched.show(string(buffer[:n]))
			if err != nil {
				return
			}
			if typed := answer(watched.fresh()); typed != "" {
				watched.typed()
				if _, err := terminal.WriteString(typed); err != nil {
					return
				}
			}
		}
	}()
	_ = cmd.Wait()
	select {
	case <-read:
	case <-time.After(time.Second): // something in the background keeps the terminal
	}
	result := Result{Line: strings.Join(append([]string{name}, args...), " "), Stdout: watched.all(), Exit: cmd.ProcessState.ExitCode()}
	if ctx.Err() != nil {
		d.tb.Fatalf("no end after %v:\n%v", commandTimeout, result)
	}
	return result
}

// screen is what appeared on a terminal.
type screen struct {
	mu   sync.Mutex
	text string
	seen int // how much of it was there when something was typed
}

func (s *screen) show(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text += text
}

func (s *screen) typed() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = len(s.text)
}

func (s *screen) fresh() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text[s.seen:]
}

func (s *screen) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text
}
