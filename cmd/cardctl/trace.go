package main

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/problem"
)

// trace is where every APDU is written to. That it cannot be written stops no
// work: it is told when the work is done.
type trace struct {
	name   string
	to     io.Writer
	file   *os.File // to close; nil for stderr
	failed error
}

func (t *trace) Write(p []byte) (int, error) {
	if t.failed == nil {
		_, t.failed = t.to.Write(p)
	}
	return len(p), nil
}

// openTrace begins the trace that --trace asks for.
func (env *session) openTrace(ctx context.Context) error {
	name := env.flags.trace
	switch name {
	case "":
		return nil
	case "-":
		env.trace = &trace{name: "stderr", to: env.Err}
		return nil
	}
	f, err := input.Interruptible(ctx, func() (*os.File, error) { return privateFile(name) }, func(f *os.File) { _ = f.Close() })
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p := problem.Wrap(problem.Failed, err, "cannot write the trace")
		if errors.Is(err, errLink) {
			p.Advise(advice.Run("ls", "-l", name))
		}
		return p
	}
	env.trace = &trace{name: name, to: stoppable{ctx, f}, file: f}
	return nil
}

// close ends the trace, and says if it is incomplete.
func (t *trace) close() error {
	err := t.failed
	if t.file != nil {
		err = errors.Join(err, t.file.Close())
	}
	if err == nil {
		return nil
	}
	p := problem.New(problem.Failed, "the trace could not be written").
		Because("The command completed and its result stands. Only the trace in %s is incomplete [%s].", t.name, err).
		Advise(advice.Do(advice.ShowCard))
	p.Cause = err
	return p
}

// traceTo is where the trace of a card goes; nil for nowhere.
func (env *session) traceTo() io.Writer {
	if env.trace == nil {
		return nil
	}
	return env.trace
}

// privateFile opens a file for its owner alone, empty. It follows no link, which
// somebody else may have put there; what is no regular file, such as a pipe,
// is left as it is.
func privateFile(path string) (*os.File, error) {
	if err := noLink(path); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := makePrivate(f, path); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

func makePrivate(f *os.File, path string) error {
	opened, err := f.Stat()
	if err != nil || !opened.Mode().IsRegular() {
		return err
	}
	// The name may have become a link in the meantime.
	named, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !os.SameFile(named, opened) {
		return errLink
	}
	if err := f.Chmod(0o600); err != nil {
		return err
	}
	return f.Truncate(0)
}

var errLink = errors.New("the file is a symbolic link, which cardctl does not follow")

func noLink(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		return errLink
	}
	return nil
}
