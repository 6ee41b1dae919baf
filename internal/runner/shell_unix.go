//go:build !windows

package runner

import (
	"context"
	"os/exec"
)

// Shell is the shell's program.
const Shell = "sh"

// ShellCommand has the shell run a line.
func ShellCommand(ctx context.Context, line string) *exec.Cmd {
	return exec.CommandContext(ctx, Shell, "-c", line)
}
