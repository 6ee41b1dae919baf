//go:build unix

package setup

import (
	"os/exec"
	"syscall"
	"time"
)

// lead makes a program the leader of a group of processes, away from the terminal.
func lead(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} }

// endGroup ends what a program left running that led a group. It returns when nothing of
// it runs, or after two seconds: the killed write files for a moment, and whose parent
// does not wait for it stays in the group.
func endGroup(cmd *exec.Cmd) {
	limit := time.Now().Add(2 * time.Second)
	for syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) == nil && time.Now().Before(limit) {
		time.Sleep(2 * time.Millisecond)
	}
}
