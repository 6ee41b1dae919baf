package secret

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/cardctl/cardctl/internal/problem"
)

// readFile reads a whole file. It takes regular files, and pipes, which is what
// a shell makes of <(command).
func (r *Resolver) readFile(path string) ([]byte, error) {
	if fd, ok := descriptorFile(path); ok && fd != 0 && !slices.Contains(r.Descriptors, fd) {
		return nil, errNotHanded
	}
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
	return readWhole(f)
}

// OwnersOnly refuses a file with a secret that others than its owner can read. A pipe has
// been read already.
func OwnersOnly(path string) error {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return openError(err)
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return openError(err)
	}
	return checkReaders(f, info.Mode(), path)
}

// descriptorFile is the descriptor that a path is another name for.
func descriptorFile(path string) (fd int, ok bool) {
	dir, name := filepath.Split(filepath.Clean(path))
	for _, known := range []string{"/dev/fd/", "/proc/self/fd/", fmt.Sprintf("/proc/%d/fd/", os.Getpid()), "/proc/thread-self/fd/"} {
		if dir == known {
			fd, err := strconv.Atoi(name)
			return fd, err == nil
		}
	}
	return 0, false
}

func checkMode(mode fs.FileMode) error {
	switch {
	case mode.IsDir():
		return problem.New(problem.Usage, "it is a directory")
	case !mode.IsRegular() && mode.Type() != fs.ModeNamedPipe:
		return problem.New(problem.Usage, "it is neither a regular file nor a pipe")
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
