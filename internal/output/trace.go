package output

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/problem"
)

// Trace is where every APDU is written to. That it cannot be written stops no
// work: Close tells it when the work is done. Several cards may write to it at once.
type Trace struct {
	turn   sync.Mutex
	name   string
	to     io.Writer
	file   *os.File // to close; nil for stderr
	failed error
}

// OpenTrace begins a trace in the file with this name, or on stderr for -.
func OpenTrace(ctx context.Context, name string, stderr io.Writer) (*Trace, error) {
	if name == "-" {
		return &Trace{name: "stderr", to: stderr}, nil
	}
	f, err := input.Interruptible(ctx, func() (*os.File, error) { return PrivateFile(name) }, func(f *os.File) { _ = f.Close() })
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, problem.Wrap(problem.Failed, err, "cannot write the trace")
	}
	return &Trace{name: name, to: Stoppable{Context: ctx, To: f}, file: f}, nil
}

func (t *Trace) Write(p []byte) (int, error) {
	t.turn.Lock()
	defer t.turn.Unlock()
	if t.failed == nil {
		_, t.failed = t.to.Write(p)
	}
	return len(p), nil
}

// Close ends the trace, and says if it is incomplete.
func (t *Trace) Close() error {
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
