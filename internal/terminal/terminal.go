// Package terminal is the terminal the user sits at, reached as /dev/tty or the
// console so that the standard streams stay free: reading secrets without echo,
// confirming, choosing. Text from a card cannot move its cursor. What is asked,
// and whether it may be, is left to its callers.
package terminal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

// ErrNoTerminal is what everything but Available returns where there is no
// terminal.
var ErrNoTerminal = errors.New("there is no terminal")

// Options are what New can be told. The zero value is usable.
type Options struct {
	// Open opens the terminal for reading and for writing, which may be
	// the same file; nil is the terminal of the process.
	Open func() (in, out *os.File, err error)

	// Plain forbids escape sequences; see Plain.
	Plain bool
}

// Terminal asks a person. Nothing is opened before it is needed. Its methods
// may be called from several goroutines; questions take turns.
type Terminal struct {
	options Options

	turn    sync.Mutex
	opened  bool
	failed  error
	in, out *os.File
}

// New returns the terminal; it opens nothing.
func New(options Options) *Terminal {
	if options.Open == nil {
		options.Open = openProcessTerminal
	}
	return &Terminal{options: options}
}

// Available reports whether there is a terminal to ask on.
func (t *Terminal) Available() bool {
	t.turn.Lock()
	defer t.turn.Unlock()
	return t.open() == nil
}

// Show writes lines of text.
func (t *Terminal) Show(text string) error {
	t.turn.Lock()
	defer t.turn.Unlock()
	if err := t.open(); err != nil {
		return err
	}
	return t.write(output.Lines(strings.TrimSuffix(text, "\n")) + "\n")
}

// Close lets the terminal go. It may be asked again: then it is opened again.
func (t *Terminal) Close() error {
	t.turn.Lock()
	defer t.turn.Unlock()
	if !t.opened || t.failed != nil {
		return nil
	}
	err := t.in.Close()
	if t.out != t.in {
		err = errors.Join(err, t.out.Close())
	}
	t.opened, t.in, t.out = false, nil, nil
	return err
}

func (t *Terminal) open() error {
	if t.opened {
		return t.failed
	}
	t.opened = true
	in, out, err := t.options.Open()
	if err != nil {
		t.failed = fmt.Errorf("%w: %w", ErrNoTerminal, err)
		return t.failed
	}
	t.in, t.out = in, out
	return nil
}

func (t *Terminal) write(s string) error {
	if _, err := t.out.WriteString(s); err != nil {
		return fmt.Errorf("could not write to the terminal: %w", err)
	}
	return nil
}

// errInterrupted is the interrupt or end-of-input key at a question.
func errInterrupted() error {
	return problem.New(problem.Interrupted, "interrupted").Because("The question was not answered.")
}

// ask runs one question in raw mode, where every key is a byte, and puts the
// terminal back afterwards, also when ctx ends first.
func (t *Terminal) ask(ctx context.Context, question func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t.turn.Lock()
	defer t.turn.Unlock()
	if err := t.open(); err != nil {
		return err
	}
	restore, err := raw(t.in)
	if err != nil {
		return err
	}
	defer restore()
	done := make(chan error, 1)
	go func() { done <- question() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	// A read that cannot be ended takes the next key with it.
	if t.in.SetReadDeadline(time.Now()) == nil {
		<-done
		_ = t.in.SetReadDeadline(time.Time{})
	}
	_ = t.write("\r\n")
	return ctx.Err()
}

// raw switches a terminal to raw mode.
func raw(f *os.File) (restore func(), err error) {
	control, err := f.SyscallConn()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoTerminal, err)
	}
	var state *term.State
	// f.Fd would make the file blocking, and its reads endless.
	if controlErr := control.Control(func(fd uintptr) { state, err = term.MakeRaw(int(fd)) }); controlErr != nil {
		err = controlErr
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrNoTerminal, err)
	}
	return func() {
		_ = control.Control(func(fd uintptr) { _ = term.Restore(int(fd), state) })
	}, nil
}
