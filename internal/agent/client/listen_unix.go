//go:build unix

package client

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
)

// Listen makes a socket that only its user can connect to, in a directory that only its
// user can write to or move away and that is made if it is missing. A socket that nobody answers on is
// replaced; one where another agent answers is left to it (problem.CardBusy). Closing the
// listener removes the socket.
func Listen(path string) (*net.UnixListener, error) {
	what := "listen on " + path
	directory, err := ownDirectory(filepath.Dir(path))
	if err != nil {
		return nil, problem.Wrap(problem.Failed, err, what)
	}
	defer func() { _ = directory.Close() }()
	// Two agents that start at once look at the socket one after the other.
	if err := syscall.Flock(int(directory.Fd()), syscall.LOCK_EX); err != nil {
		return nil, problem.Wrap(problem.Failed, os.NewSyscallError("flock", err), what)
	}
	if err := removeStale(path); err != nil {
		return nil, problem.Wrap(problem.Failed, err, what)
	}
	listener, err := bind(path)
	if err != nil {
		return nil, problem.Wrap(problem.Failed, err, what)
	}
	return listener, nil
}

// ownDirectory opens a directory, and makes it if it is missing.
func ownDirectory(path string) (*os.File, error) {
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	directory, err := os.OpenFile(path, os.O_RDONLY|syscall.O_DIRECTORY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		if errors.Is(err, syscall.ELOOP) || errors.Is(err, syscall.ENOTDIR) {
			return nil, problem.New(problem.Refused, "%s is a link, or not a directory", path)
		}
		return nil, err
	}
	info, err := directory.Stat()
	if err == nil {
		err = own(info, path)
	}
	if err == nil && info.Mode().Perm()&0o022 != 0 {
		err = writable(path)
	}
	if err == nil {
		err = staysThere(path)
	}
	if err != nil {
		_ = directory.Close()
		return nil, err
	}
	return directory, nil
}

func writable(path string) *problem.Error {
	return problem.New(problem.Refused, "others can write to %s", path)
}

// staysThere refuses a directory that others can put their own in the place of, by the path
// that was named or by the one that links lead to.
func staysThere(path string) error {
	named, err := filepath.Abs(path)
	if err != nil {
		return err
	}
	led, err := filepath.EvalSymlinks(named)
	if err != nil {
		return err
	}
	if err := parentsStay(named); err != nil {
		return err
	}
	return parentsStay(led)
}

// parentsStay goes from the directory of an absolute path to the root.
func parentsStay(path string) error {
	parent := filepath.Dir(path)
	if parent == path {
		return nil
	}
	info, err := os.Stat(parent)
	if err != nil {
		return err
	}
	if info.Mode().Perm()&0o022 != 0 && info.Mode()&fs.ModeSticky == 0 {
		return writable(parent).Because("They could replace the directory of the socket.")
	}
	return parentsStay(parent)
}

// own refuses what belongs to another user.
func own(info fs.FileInfo, path string) error {
	if stat, ok := info.Sys().(*syscall.Stat_t); !ok || int(stat.Uid) != os.Geteuid() {
		return problem.New(problem.Refused, "%s belongs to another user", path)
	}
	return nil
}

// removeStale removes a socket that nobody answers on.
func removeStale(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSocket {
		return problem.New(problem.Refused, "%s is not a socket", path)
	}
	if err := own(info, path); err != nil {
		return err
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		_ = conn.Close()
		return problem.New(problem.CardBusy, "another agent answers there")
	case errors.Is(err, syscall.ECONNREFUSED):
		return os.Remove(path)
	}
	return problem.New(problem.CardBusy, "another program has the socket").Because("%v.", err)
}

// bind makes the socket. Linux gives it its mode as it makes it.
func bind(path string) (*net.UnixListener, error) {
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { _ = syscall.Fchmod(int(fd), 0o600) }) // other systems refuse
	}}
	listener, err := config.Listen(context.Background(), "unix", path)
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o600); err != nil {
		_ = listener.Close()
		return nil, err
	}
	return listener.(*net.UnixListener), nil
}
