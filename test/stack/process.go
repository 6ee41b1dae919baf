package stack

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Process is a command that runs while the test looks at it.
type Process struct{ cmd *exec.Cmd }

// Process starts a command; its outputs may be nil. It is killed when ctx ends.
func (d *Desk) Process(ctx context.Context, stdout, stderr io.Writer, name string, args ...string) *Process {
	d.tb.Helper()
	cmd := d.command(ctx, name, args...)
	cmd.Stdout, cmd.Stderr = stdout, stderr
	if err := cmd.Start(); err != nil {
		d.tb.Fatalf("%s: %v", name, err)
	}
	d.tb.Cleanup(func() { _ = cmd.Process.Kill() })
	return &Process{cmd}
}

// PID is the number of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Calls reports whether a thread is in a system call: its number and its first
// arguments, as Linux writes them in /proc/PID/task/TID/syscall.
func (p *Process) Calls(call string) bool {
	threads, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", p.PID()))
	for _, thread := range threads {
		if now, err := os.ReadFile(thread); err == nil && strings.HasPrefix(string(now), call) {
			return true
		}
	}
	return false
}

// Writes reports whether a thread is in the system call that writes to a file, which is
// named as in /proc/PID/fd, whatever its descriptor is.
func (p *Process) Writes(file string) bool {
	descriptors, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", p.PID()))
	for _, descriptor := range descriptors {
		target, err := os.Readlink(descriptor)
		if err != nil || target != file {
			continue
		}
		number, err := strconv.Atoi(filepath.Base(descriptor))
		if err == nil && p.Calls(fmt.Sprintf("1 0x%x ", number)) {
			return true
		}
	}
	return false
}

// Wait waits for the end, and returns the exit status.
func (p *Process) Wait() int {
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

// Signal sends it a signal.
func (p *Process) Signal(s os.Signal) error { return p.cmd.Process.Signal(s) }
