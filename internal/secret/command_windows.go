package secret

import (
	"os/exec"
	"syscall"
)

const shell = "cmd"

// commandLine has the shell run a line as it is written. cmd reads quotes in a way of its
// own: with /S it takes away the first and the last, and nothing else.
func commandLine(cmd *exec.Cmd, line string) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `cmd /S /C "` + line + `"`}
}
