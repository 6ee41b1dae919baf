//go:build unix

package runner

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStoppedWithAllItStarted stops a program that waits for another one.
func TestStoppedWithAllItStarted(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pid")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		_, err := Child(ctx, "/bin/sh", Program{Name: "sh", Args: []string{"-c", `sleep 1000 & echo $! >"$0".new; mv "$0".new "$0"; wait`, path}})
		ended <- err
	}()
	pid := 0
	for pid == 0 && t.Context().Err() == nil {
		text, _ := os.ReadFile(path)
		pid, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		time.Sleep(10 * time.Millisecond)
	}
	stop()
	<-ended
	for range 100 {
		state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if syscall.Kill(pid, 0) == syscall.ESRCH || err == nil && strings.Contains(string(state), ") Z ") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	t.Error("what the program started is still running")
}
