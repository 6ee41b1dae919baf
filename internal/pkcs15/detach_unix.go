//go:build !windows

package pkcs15

import (
	"os/exec"
	"syscall"
)

// detach keeps a child away from the terminal, where it would ask for what it
// was not given.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }
