package secret

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"github.com/cardctl/cardctl/internal/problem"
)

// readFile reads a whole file, less one end of line. It takes regular files,
// and pipes, which is what a shell makes of <(command).
func readFile(path string) (*Bytes, error) {
	// Looking first keeps devices from being opened at all.
	if info, err := os.Stat(path); err != nil {
		return nil, openError(err)
	} else if err := checkMode(info.Mode()); err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, openError(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return nil, openError(err)
	}
	if err := checkMode(info.Mode()); err != nil {
		return nil, err
	}
	if err := checkReaders(f, info.Mode(), path); err != nil {
		return nil, err
	}
	b := make([]byte, MaxLength+3)
	n, err := io.ReadFull(f, b)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return trimmed(b[:n])
	case err != nil:
		Wipe(b)
		return nil, readError(err)
	}
	Wipe(b)
	return nil, errTooLong
}

func checkMode(mode fs.FileMode) error {
	switch {
	case mode.IsDir():
		return problem.New(problem.Usage, "it is a directory")
	case !mode.IsRegular() && mode.Type() != fs.ModeNamedPipe:
		return problem.New(problem.Usage, "it is neither a file nor a pipe")
	}
	return nil
}

// openError is err without the path, which stands in front of it already.
func openError(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return problem.New(problem.Usage, "no such file")
	case errors.Is(err, fs.ErrPermission):
		return problem.New(problem.Usage, "permission denied")
	}
	return readError(err)
}
