//go:build unix

package setup

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// inUse reports whether a process has the lock of a file, or is the one that a link
// names: HOST-PID, or ADDRESS:+PID.
func inUse(lock string) bool {
	if target, err := os.Readlink(lock); err == nil {
		pid, err := strconv.Atoi(target[strings.LastIndexAny(target, "-+")+1:])
		return err == nil && !errors.Is(syscall.Kill(pid, 0), syscall.ESRCH)
	}
	f, err := os.OpenFile(lock, os.O_RDWR, 0)
	if err != nil {
		return false
	}
	defer f.Close()
	asked := syscall.Flock_t{Type: syscall.F_WRLCK}
	err = syscall.FcntlFlock(f.Fd(), syscall.F_GETLK, &asked)
	return err == nil && asked.Type != syscall.F_UNLCK
}
