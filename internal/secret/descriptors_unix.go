//go:build !windows

package secret

import (
	"os"
	"slices"
	"strconv"
	"syscall"
)

// InheritedDescriptors returns the descriptors above the standard streams that
// were handed to this process, and keeps them from its child processes. It is to
// be called before anything else: what Go's runtime and libraries open for
// themselves is closed on exec, so it is no inheritance.
func InheritedDescriptors() []int {
	var inherited []int
	for _, fd := range openDescriptors() {
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if fd > syscall.Stderr && errno == 0 && flags&syscall.FD_CLOEXEC == 0 {
			syscall.CloseOnExec(fd)
			inherited = append(inherited, fd)
		}
	}
	slices.Sort(inherited)
	return inherited
}

// openDescriptors are the open descriptors, or all that are likely where the
// system does not list them, and perhaps closed ones.
func openDescriptors() []int {
	const likely = 1024
	var all []int
	entries, err := os.ReadDir("/dev/fd")
	if err != nil || len(entries) == 0 {
		for fd := range likely {
			all = append(all, fd)
		}
		return all
	}
	for _, entry := range entries {
		if fd, err := strconv.Atoi(entry.Name()); err == nil {
			all = append(all, fd)
		}
	}
	return all
}
