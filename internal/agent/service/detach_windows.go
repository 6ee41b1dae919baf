package service

import (
	"os/exec"
	"syscall"
)

// detach has a process live on when the terminal goes.
func detach(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{HideWindow: true} }
