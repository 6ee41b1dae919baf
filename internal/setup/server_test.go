//go:build unix

package setup

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestServersAreNotLeftBehind interrupts a check of a server that does not answer, and
// whose worker does not end with it.
func TestServersAreNotLeftBehind(t *testing.T) {
	dir := t.TempDir()
	worker := filepath.Join(dir, "worker")
	put(t, filepath.Join(dir, "bin/nginx"), "#!/bin/sh\ntrap '' TERM\n(trap '' TERM; while :; do echo >"+worker+"; sleep 0.1; done) &\nwait\nwait\n")
	check(t, os.Chmod(filepath.Join(dir, "bin/nginx"), 0o700))
	t.Setenv("PATH", filepath.Join(dir, "bin")+":"+os.Getenv("PATH"))
	t.Setenv("TMPDIR", filepath.Join(dir, "tmp"))
	check(t, os.Mkdir(filepath.Join(dir, "tmp"), 0o700))
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go func() {
		_ = until(t.Context(), func() bool { _, err := os.Stat(worker); return err == nil })
		stop()
	}()
	j := &job{Options: Options{Environ: os.Environ()}}
	if _, err := j.checkServer(ctx, dir, "nginx.conf", "nginx"); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
	nothingStays(t, dir)
}

// nothingStays fails if files of a check are left, or programs with the directory in their
// command line run.
func nothingStays(t *testing.T, dir string) {
	t.Helper()
	if left, _ := os.ReadDir(filepath.Join(dir, "tmp")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	check(t, err)
	for _, p := range processes {
		if line, _ := os.ReadFile(p); strings.Contains(string(line), dir) {
			t.Errorf("still running: %q", line)
		}
	}
}
