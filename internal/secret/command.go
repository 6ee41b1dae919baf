package secret

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/runner"
)

// killDelay is how long a child process has to end after it was told to.
const killDelay = time.Second

// child prepares a child process: it sees no secret in its environment, and is
// told to end when ctx does.
func (r *Resolver) child(ctx context.Context, name string, args ...string) *exec.Cmd {
	return r.prepared(exec.CommandContext(ctx, name, args...))
}

func (r *Resolver) prepared(cmd *exec.Cmd) *exec.Cmd {
	cmd.Env = r.ChildEnv()
	cmd.Stderr = r.Stderr
	cmd.WaitDelay = killDelay
	// A program that draws on the terminal tidies it up on this signal.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	return cmd
}

// runCommand returns what a shell command writes.
func (r *Resolver) runCommand(ctx context.Context, line string) ([]byte, error) {
	if !strings.ContainsAny(line, " \t\n;&|<>()$`\"'") {
		// The shell would repeat a word that it does not know, and it may be a secret.
		if _, err := exec.LookPath(line); err != nil {
			return nil, problem.New(problem.Usage, "no such program")
		}
	}
	running, end := context.WithCancel(ctx)
	defer end()
	cmd := r.prepared(runner.ShellCommand(running, line))
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, problem.Wrap(problem.Usage, err, "the command could not be started")
	}
	// A child of the shell may keep the pipe open after the shell is gone.
	stop := context.AfterFunc(running, func() { _ = out.Close() })
	defer stop()
	written, err := readWhole(out)
	if err != nil {
		defer time.AfterFunc(killDelay, end).Stop()
	}
	// The rest is read, or the command would fail when it writes on.
	drain(out)
	waited := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		err = ctx.Err()
	case running.Err() == nil && waited != nil:
		err = exitProblem("the command", waited)
	}
	if err != nil {
		Wipe(written)
		return nil, err
	}
	return written, nil
}

func drain(r io.Reader) {
	b := make([]byte, MaxLength)
	defer Wipe(b)
	for {
		if _, err := r.Read(b); err != nil {
			return
		}
	}
}

func exitProblem(what string, err error) error {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return problem.New(problem.Usage, "%s failed", what).Because("%s", problem.Sentence(fmt.Sprintf("%s ended with %s", what, exit.ProcessState)))
	}
	return problem.Wrap(problem.Usage, err, what+" failed")
}
