package secret

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"
	"slices"

	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/problem"
)

var errTooLong = problem.New(problem.Usage, "it is longer than %d bytes", MaxLength)

// readStream reads the next line of a stream that may hold several secrets.
func (r *Resolver) readStream(ctx context.Context, open func() (io.Reader, error)) ([]byte, error) {
	return input.Interruptible(ctx, func() ([]byte, error) {
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
	}, Wipe)
}

var errClosed = problem.New(problem.Usage, "it is closed")

// file is the file of a descriptor that was handed to this process: any other
// number is a file of Go's runtime, or of nobody. It is kept, for the next line,
// and because Go closes what nobody keeps.
func (r *Resolver) file(fd int) (io.Reader, error) {
	switch {
	case fd == 0:
		return r.Stdin, nil
	case runtime.GOOS == "windows":
		return nil, problem.New(problem.NotSupported, "Windows has no file descriptors")
	case !slices.Contains(r.Descriptors, fd):
		return nil, errNotHanded
	}
	if f, ok := r.files[fd]; ok {
		return f, nil
	}
	f := os.NewFile(uintptr(fd), "fd")
	if f == nil {
		return nil, errClosed
	}
	if r.files == nil {
		r.files = map[int]*os.File{}
	}
	r.files[fd] = f
	return f, nil
}

var errNotHanded = problem.New(problem.Usage, "no such file descriptor").
	Because("The descriptor was not open when cardctl started. In a shell, 3<FILE after the command opens descriptor 3.")

// readLine reads to the end of a line, which it returns as well, and not a byte
// more.
func readLine(r io.Reader) ([]byte, error) {
	b := make([]byte, 0, MaxLength+len("\r\n")+1)
	for {
		n, err := r.Read(b[len(b) : len(b)+1])
		b = b[:len(b)+n]
		switch {
		case n == 1 && b[len(b)-1] == '\n', errors.Is(err, io.EOF) && len(b) > 0:
			return b, nil
		case errors.Is(err, io.EOF):
			return nil, problem.New(problem.Usage, "it has no more lines")
		case err != nil:
			Wipe(b)
			return nil, readError(err)
		case len(b) == cap(b):
			Wipe(b)
			return nil, errTooLong
		}
	}
}

// readWhole reads all that there is.
func readWhole(r io.Reader) ([]byte, error) {
	b := make([]byte, MaxLength+len("\r\n")+1)
	n, err := io.ReadFull(r, b)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return b[:n], nil
	case err != nil:
		Wipe(b)
		return nil, readError(err)
	}
	Wipe(b)
	return nil, errTooLong
}

func readError(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return errClosed
	}
	var system *fs.PathError
	if errors.As(err, &system) {
		err = system.Err // the path may be a secret in the wrong place
	}
	return problem.Wrap(problem.Usage, err, "it could not be read")
}
