//go:build unix

package setup

import (
	"os/exec"
	"syscall"
)

// lead makes a program the leader of a group of processes, away from the terminal.
func lead(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// endGroup ends what a program left running that led a group.
func endGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
