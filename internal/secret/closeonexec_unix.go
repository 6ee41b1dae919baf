//go:build !windows

package secret

import "syscall"

// closeOnExec keeps a descriptor that the shell handed down from being handed
// on to child processes.
func closeOnExec(fd int) { syscall.CloseOnExec(fd) }
