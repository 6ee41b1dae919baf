package output

import (
	"bytes"
	"context"
	"io"
	"time"
)

// Stoppable is a stream that may be a pipe which nobody reads: writing to it ends
// soon after the command is to end.
type Stoppable struct {
	Context context.Context
	To      io.Writer
}

// lastChance is how long a stream may take that is written to when the command is
// to end: what was done should be told.
const lastChance = time.Second

func (s Stoppable) Write(p []byte) (int, error) {
	type written struct {
		n   int
		err error
	}
	done := make(chan written, 1)
	own := bytes.Clone(p) // the caller may use p again while it is still written
	go func() {
		n, err := s.To.Write(own)
		done <- written{n, err}
	}()
	select {
	case w := <-done:
		return w.n, w.err
	case <-s.Context.Done():
	}
	select {
	case w := <-done:
		return w.n, w.err
	case <-time.After(lastChance):
		return 0, s.Context.Err()
	}
}
