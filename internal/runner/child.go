package runner

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"
)

// OutputLimit bounds what is kept of a program's output, in bytes.
const OutputLimit = 1 << 20

// stopped is how long a program has to end after its context did.
const stopped = 2 * time.Second

// Child runs a program as a child process without a terminal. Path is its file.
func Child(ctx context.Context, path string, p Program) (Result, error) {
	return run(exec.CommandContext(ctx, path, p.Args...), p)
}

// Line runs a line of the shell as a child process without a terminal; the arguments of
// the program are not used.
func Line(ctx context.Context, line string, p Program) (Result, error) {
	return run(ShellCommand(ctx, line), p)
}

func run(cmd *exec.Cmd, p Program) (Result, error) {
	cmd.Env = p.Env
	cmd.WaitDelay = stopped
	cmd.Stdin = bytes.NewReader(p.Stdin)
	detach(cmd)
	var stdout, stderr limited
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if p.File != nil {
		feed, err := pipe(cmd, p.File)
		if err != nil {
			return Result{}, err
		}
		defer feed()
	}
	err := cmd.Run()
	var status *exec.ExitError
	if err != nil && !errors.As(err, &status) {
		return Result{}, fmt.Errorf("%s: %w", p.Name, err)
	}
	return Result{Stdout: stdout.Bytes(), Stderr: stderr.Bytes(), Exit: cmd.ProcessState.ExitCode()}, nil
}

// pipe puts the reading end of a pipe into the arguments. What it returns ends
// the writing, and returns when it has ended.
func pipe(cmd *exec.Cmd, content []byte) (end func(), err error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	const firstExtra = 3 // descriptors before it: standard input, output, error
	name := fmt.Sprintf("/dev/fd/%d", firstExtra+len(cmd.ExtraFiles))
	cmd.ExtraFiles = append(cmd.ExtraFiles, r)
	for i, a := range cmd.Args {
		if a == FilePlace {
			cmd.Args[i] = name
		}
	}
	written := make(chan struct{})
	go func() {
		defer close(written)
		_, _ = w.Write(content) // a program that does not read it fails by itself
		_ = w.Close()
	}()
	return func() {
		_ = r.Close()
		<-written
	}, nil
}

// limited keeps the beginning of what is written.
type limited struct{ bytes.Buffer }

func (l *limited) Write(p []byte) (int, error) {
	if room := OutputLimit - l.Len(); room > 0 {
		_, _ = l.Buffer.Write(p[:min(room, len(p))])
	}
	return len(p), nil
}
