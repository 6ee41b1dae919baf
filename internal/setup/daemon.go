package setup

import (
	"bytes"
	"context"
	"os/exec"
	"slices"
	"syscall"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
)

// daemon is a program that runs until it is ended, for one check.
type daemon struct {
	// ended is closed when it runs no more.
	ended chan struct{}
	words bytes.Buffer
	stop  context.CancelFunc
}

// start starts a program, until the context ends at the latest. More is added to its
// environment.
func (j *job) start(ctx context.Context, more []string, name string, args ...string) (*daemon, error) {
	ctx, stop := context.WithCancel(ctx)
	d := &daemon{ended: make(chan struct{}), stop: stop}
	program := exec.CommandContext(ctx, find(name), args...)
	program.Env, program.Stderr, program.Stdout = slices.Concat(j.Environ, []string{"LC_ALL=C"}, more), &d.words, &d.words
	program.Cancel = func() error { return program.Process.Signal(syscall.SIGTERM) }
	program.WaitDelay = 2 * time.Second
	lead(program)
	if err := program.Start(); err != nil {
		stop()
		return nil, problem.Wrap(problem.Failed, err, name+" could not be started")
	}
	go func() {
		_ = program.Wait() // whoever started it sees whether it did its work
		endGroup(program)  // of workers that did not end with it
		close(d.ended)
	}()
	return d, nil
}

// end ends it, and returns what it wrote.
func (d *daemon) end() []byte {
	d.stop()
	<-d.ended
	return d.words.Bytes()
}
