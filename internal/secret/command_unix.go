//go:build !windows

package secret

import "os/exec"

const shell = "sh"

// commandLine has the shell run a line.
func commandLine(cmd *exec.Cmd, line string) { cmd.Args = append(cmd.Args, "-c", line) }
