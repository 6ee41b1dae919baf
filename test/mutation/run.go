//go:build cgo && unix

package mutation

import (
	"context"
	"os/exec"
	"syscall"
	"time"
)

// patience is how long a mutated test may take, for a check that is left out may
// let it run for ever.
const patience = 2 * time.Minute

// execute runs a command with more variables in its environment, and returns its output.
func execute(ctx context.Context, dir string, environment []string, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	// A test that runs for ever is a child of go, and ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(cmd.Environ(), environment...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// runAlone compiles this mutation, and runs its test. dir is empty.
func (m mutation) runAlone(ctx context.Context, root, dir string) (string, error) {
	source, err := m.source(root)
	if err != nil {
		return "", err
	}
	overlay := newOverlay(dir)
	if err := overlay.put(m.path(root), m.mutated(source)); err != nil {
		return "", err
	}
	flag, err := overlay.flag()
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// The tests that build the program build the mutated one.
	return execute(ctx, root, []string{"GOFLAGS=" + flag}, "go", "test", "-count=1", "-failfast", "-vet=off", smaller, "-run", only(m.test), "./"+m.pkg)
}

// smaller binaries are linked faster.
const smaller = "-ldflags=-s -w"
