//go:build unix

package input

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte("12345"), 0o600); err != nil {
		t.Fatal(err)
	}
	for limit, want := range map[int64]string{10: "12345", 5: "12345", 4: "12345", 3: "1234"} {
		got, err := File(t.Context(), path, limit)
		if err != nil || string(got) != want {
			t.Errorf("limit %d: %q, %v", limit, got, err)
		}
		got, err = Stream(t.Context(), strings.NewReader("12345"), limit)
		if err != nil || string(got) != want {
			t.Errorf("stream, limit %d: %q, %v", limit, got, err)
		}
	}
	if _, err := File(t.Context(), path+"x", 1); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	if got, err := File(t.Context(), "/dev/zero", 1000); len(got) != 1001 || err != nil {
		t.Errorf("%d bytes of a file without an end, %v", len(got), err)
	}
}

// What never ends, and what nobody writes to, ends with the context.
func TestReadingEndsWithTheContext(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	silent, w := io.Pipe()
	defer func() { _ = w.Close() }()
	for name, read := range map[string]func(context.Context) error{
		"pipe":   func(ctx context.Context) error { _, err := File(ctx, pipe, 10); return err },
		"stream": func(ctx context.Context) error { _, err := Stream(ctx, silent, 10); return err },
	} {
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
		ended := make(chan error, 1)
		go func() { ended <- read(ctx) }()
		select {
		case err := <-ended:
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: still reading", name)
		}
		stop()
	}
}

// What comes after the end is given to whom it concerns.
func TestInterruptibleLate(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	stop()
	begin, late := make(chan struct{}), make(chan string)
	_, err := Interruptible(ctx, func() (string, error) { <-begin; return "late", nil }, func(s string) { late <- s })
	close(begin)
	if got := <-late; got != "late" || err != context.Canceled {
		t.Errorf("%q, %v", got, err)
	}
}

// TestRegular refuses at once what is no file, and what is too long.
func TestRegular(t *testing.T) {
	dir := t.TempDir()
	path, pipe, long := filepath.Join(dir, "file"), filepath.Join(dir, "pipe"), filepath.Join(dir, "long")
	for name, content := range map[string]string{path: "12345", long: "123456"} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	if got, err := Regular(path, 5); err != nil || string(got) != "12345" {
		t.Errorf("%q, %v", got, err)
	}
	if _, err := Regular(path+"x", 5); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	for name, says := range map[string]string{pipe: "not a regular file", "/dev/zero": "not a regular file", dir: "not a regular file", long: "longer than 5 bytes"} {
		ended := make(chan error, 1)
		go func() {
			_, err := Regular(name, 5)
			ended <- err
		}()
		select {
		case err := <-ended:
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %v", name, err)
			}
		case <-time.After(10 * time.Second):
			t.Errorf("%s: still reading", name)
		}
	}
}
