//go:build unix

package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/terminal"
)

// A trace is for its owner alone, also where the file was there before, and never
// goes through a link.
func TestTraceIsPrivate(t *testing.T) {
	d := newDesk(t)
	dir := t.TempDir()
	path := filepath.Join(dir, "trace")
	if err := os.WriteFile(path, []byte(strings.Repeat("old", 10_000)), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	d.must("info", "--trace", path)
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), "> ") || strings.Contains(string(text), "old") {
		t.Errorf("%.80q, %v", text, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}

	victim := filepath.Join(dir, "victim")
	if err := os.WriteFile(victim, []byte("precious"), 0o644); err != nil {
		t.Fatal(err)
	}
	for name, target := range map[string]string{"link": victim, "dangling": filepath.Join(dir, "made")} {
		link := filepath.Join(dir, name)
		if err := os.Symlink(target, link); err != nil {
			t.Fatal(err)
		}
		if r := d.run(t.Context(), []string{"info", "--trace", link}); r.exit != 1 || !strings.Contains(r.stderr, "link") || r.stdout != "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if text, err := os.ReadFile(victim); string(text) != "precious" || err != nil {
		t.Errorf("%q, %v", text, err)
	}
	if _, err := os.Lstat(filepath.Join(dir, "made")); !os.IsNotExist(err) {
		t.Error("a file was made behind the link")
	}
}

// A trace that cannot be written stops nothing, and the command says that its work
// is done.
func TestTraceThatCannotBeWritten(t *testing.T) {
	d := newDesk(t, "CARDCTL_NEW_PIN=904412")
	d.must("init", "--yes")
	r := d.run(t.Context(), []string{"set-pin", "user", "--trace", "/dev/full"})
	if r.exit != 1 || !strings.Contains(r.stdout, "user PIN") || !strings.Contains(r.stderr, "The command completed") {
		t.Errorf("%+v", r)
	}
	d.vars = append(d.vars, "CARDCTL_PIN=904412")
	d.must("set-pin", "user")
	r = d.run(t.Context(), []string{"info", "-o", "json", "--trace", "/dev/full"})
	if r.exit != 1 || !strings.HasPrefix(r.stdout, "{") || !strings.Contains(r.stderr, `"code":"failed"`) {
		t.Errorf("%+v", r)
	}
	// What fails in the work is more important.
	if r = d.run(t.Context(), []string{"export-cert", "--key", "OPENPGP.3", "--trace", "/dev/full"}); r.exit != 3 || strings.Contains(r.stderr, "completed") {
		t.Errorf("%+v", r)
	}
	// Without a place for the trace there is no work.
	r = d.run(t.Context(), []string{"set-pin", "user", "--trace", filepath.Join(t.TempDir(), "none", "trace")})
	if r.exit != 1 || r.stdout != "" || r.traffic.APDUs != 0 || strings.Contains(r.stderr, "completed") {
		t.Errorf("%+v", r)
	}
}

// Nobody reads the pipe that a trace or a result goes to.
func TestPipesThatNobodyReads(t *testing.T) {
	d := newDesk(t)
	d.must("init", "--yes")
	d.must("gen-key", "--key", "OPENPGP.3")
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"info", "--trace", pipe}, {"export-key", "--key", "OPENPGP.3", "--out", pipe},
	} {
		ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
		if r := d.run(ctx, command); r.exit != 1 {
			t.Errorf("%q: %+v", command, r)
		}
		stop()
	}
}

// A pipe that nobody reads holds no command up, neither for its result nor for its
// trace: it ends with the timeout, and what is done is said.
func TestPipesThatAreFull(t *testing.T) {
	d := newDesk(t, "OTHER=654321")
	d.must("init", "--yes")
	trace := filepath.Join(t.TempDir(), "trace")
	if err := syscall.Mkfifo(trace, 0o600); err != nil {
		t.Fatal(err)
	}
	full, err := os.OpenFile(trace, os.O_RDWR|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = full.Close() }()
	for _, size := range []int{4096, 1} { // to the last byte, which a write of 4096 leaves
		for err == nil {
			_, err = syscall.Write(int(full.Fd()), make([]byte, size))
		}
		err = nil
	}
	nobody, pipe := io.Pipe()
	defer func() { _ = nobody.Close() }()
	for name, test := range map[string]struct {
		out  io.Writer
		args []string
		says string
	}{
		"result": {pipe, nil, "The command completed"},
		"trace":  {io.Discard, []string{"--trace", trace}, "gave up"},
	} {
		var errs bytes.Buffer
		env := &Env{
			In: strings.NewReader(""), Out: test.out, Err: &errs, Now: time.Now,
			Environ:  []string{"CARDCTL_STATE_DIR=" + d.state},
			terminal: terminal.New(terminal.Options{Plain: true}), modules: desk.NewModules(),
		}
		ended := make(chan int, 1)
		go func() {
			ended <- run(t.Context(), env, append([]string{"info", "-r", "sim:desk", "--timeout", "300ms"}, test.args...))
		}()
		select {
		case status := <-ended:
			if status != 1 || !strings.Contains(errs.String(), test.says) {
				t.Errorf("%s: exit status %d\n%s", name, status, errs.String())
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s: it waits for ever", name)
		}
	}
}
