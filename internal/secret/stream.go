package secret

import (
	"context"
	"errors"
	"io"
	"os"
	"runtime"

	"github.com/cardctl/cardctl/internal/problem"
)

var errTooLong = problem.New(problem.Usage, "it is longer than %d bytes", MaxLength)

// interruptible runs f, which may block, and returns early when ctx ends; a
// secret that comes later is wiped.
func interruptible(ctx context.Context, f func() (*Bytes, error)) (*Bytes, error) {
	type result struct {
		s   *Bytes
		err error
	}
	done := make(chan result, 1)
	go func() {
		s, err := f()
		done <- result{s, err}
	}()
	select {
	case r := <-done:
		return r.s, r.err
	case <-ctx.Done():
		go func() { (<-done).s.Wipe() }()
		return nil, ctx.Err()
	}
}

// readStream reads the next line of a stream that may hold several secrets.
func (r *Resolver) readStream(ctx context.Context, open func() (io.Reader, error)) (*Bytes, error) {
	return interruptible(ctx, func() (*Bytes, error) {
		r.turn.Lock()
		defer r.turn.Unlock()
		stream, err := open()
		if err != nil {
			return nil, err
		}
		if stream == nil {
			return nil, errClosed
		}
		return readLine(stream)
	})
}

var errClosed = problem.New(problem.Usage, "it is closed")

// file is the file of an inherited descriptor. It is kept, for the next line,
// and because Go closes what nobody keeps.
func (r *Resolver) file(fd int) (io.Reader, error) {
	if fd == 0 {
		return r.Stdin, nil
	}
	if runtime.GOOS == "windows" {
		return nil, problem.New(problem.NotSupported, "Windows has no file descriptors").
			Hint("use env:NAME, file:PATH or stdin")
	}
	if f, ok := r.files[fd]; ok {
		return f, nil
	}
	f := os.NewFile(uintptr(fd), "fd")
	if f == nil {
		return nil, errClosed
	}
	if _, err := f.Stat(); err != nil {
		return nil, errClosed
	}
	closeOnExec(fd)
	if r.files == nil {
		r.files = map[int]*os.File{}
	}
	r.files[fd] = f
	return f, nil
}

// readLine reads to the end of a line, and not a byte more.
func readLine(r io.Reader) (*Bytes, error) {
	b := make([]byte, 0, MaxLength+2)
	for {
		n, err := r.Read(b[len(b) : len(b)+1])
		b = b[:len(b)+n]
		switch {
		case n == 1 && b[len(b)-1] == '\n':
			return trimmed(b)
		case errors.Is(err, io.EOF) && len(b) > 0:
			return trimmed(b)
		case errors.Is(err, io.EOF):
			return nil, problem.New(problem.Usage, "no line is left in it")
		case err != nil:
			Wipe(b)
			return nil, readError(err)
		case len(b) == cap(b):
			Wipe(b)
			return nil, errTooLong
		}
	}
}

// trimmed takes b over, without one end of line.
func trimmed(b []byte) (*Bytes, error) {
	if n := len(b); n > 0 && b[n-1] == '\n' {
		b = b[:n-1]
		if n > 1 && b[n-2] == '\r' {
			b = b[:n-2]
		}
	}
	if len(b) > MaxLength {
		Wipe(b)
		return nil, errTooLong
	}
	return New(b), nil
}

func readError(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return errClosed
	}
	return problem.Wrap(problem.Usage, err, "it cannot be read")
}
