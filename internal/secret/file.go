package secret

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"runtime"

	"github.com/cardctl/cardctl/internal/problem"
)

// readableByOthers are the permissions that a file with a secret must not
// give. Access control lists show in the group's bits.
const readableByOthers fs.FileMode = 0o044

// readFile reads a whole file, less one end of line. It takes regular files,
// and pipes, which is what a shell makes of <(command).
func readFile(path string) (*Bytes, error) {
	// Looking first keeps devices from being opened at all.
	if info, err := os.Stat(path); err != nil {
		return nil, openError(err)
	} else if err := checkMode(info.Mode(), path); err != nil {
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
	if err := checkMode(info.Mode(), path); err != nil {
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

func checkMode(mode fs.FileMode, path string) error {
	switch {
	case mode.IsDir():
		return problem.New(problem.Usage, "it is a directory")
	case !mode.IsRegular() && mode.Type() != fs.ModeNamedPipe:
		return problem.New(problem.Usage, "it is neither a file nor a pipe")
	case runtime.GOOS != "windows" && mode.Perm()&readableByOthers != 0:
		return problem.New(problem.Usage, "others can read it").
			Because("Its permissions are %v: group or others may read a secret there.", mode.Perm()).
			Hint("chmod 600 '%s'", path)
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
