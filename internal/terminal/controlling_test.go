//go:build unix

package terminal

import "syscall"

// controllingTerminal gives a child process a session whose terminal is one of
// its descriptors.
func controllingTerminal(fd int) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: fd}
}
