package stack

import (
	"os"
	"testing"
)

// Shared makes a directory that every user can enter, and removes it when the test ends.
// Files that another user or a daemon must reach belong there: what lies below TMPDIR may
// be closed to them. Names of sockets in it are short.
func Shared(tb testing.TB, pattern string) string {
	tb.Helper()
	dir, err := shared(pattern)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func shared(pattern string) (string, error) {
	dir, err := os.MkdirTemp("/tmp", pattern)
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}
