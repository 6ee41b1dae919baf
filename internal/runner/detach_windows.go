package runner

import (
	"os/exec"
	"syscall"
)

// detach keeps a child away from the console, where it would ask for what it
// was not given.
func detach(cmd *exec.Cmd) {
	const createNoWindow = 0x08000000
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.CreationFlags |= createNoWindow
}
