package runner

import (
	"context"
	"os/exec"
	"syscall"
)

// Shell is the shell's program.
const Shell = "cmd"

// ShellCommand has the shell run a line as it is written. cmd reads quotes in a way of its
// own: with /S it takes away the first and the last, and nothing else.
func ShellCommand(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, Shell)
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `cmd /S /C "` + line + `"`}
	return cmd
}
