package main

import (
	"context"
	"errors"
	"io"
	"os"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/output"
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
	f, err := input.Interruptible(ctx, func() (*os.File, error) { return output.PrivateFile(name) }, func(f *os.File) { _ = f.Close() })
	if err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return problem.Wrap(problem.Failed, err, "cannot write the trace")
	}
	env.trace = &trace{name: name, to: output.Stoppable{Context: ctx, To: f}, file: f}
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
