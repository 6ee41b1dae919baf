//go:build unix

package output

import (
	"os"

	"golang.org/x/sys/unix"
)

// Own is standard output for results alone: what else in the process writes to its
// descriptor, as a PKCS#11 module may, goes to standard error from now on. Where that
// cannot be, it is standard output as it is.
func Own() *os.File {
	fd, err := unix.FcntlInt(os.Stdout.Fd(), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return os.Stdout
	}
	if unix.Dup2(int(os.Stderr.Fd()), int(os.Stdout.Fd())) != nil {
		_ = unix.Close(fd)
		return os.Stdout
	}
	return os.NewFile(uintptr(fd), os.Stdout.Name())
}
