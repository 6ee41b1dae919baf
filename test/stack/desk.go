// Package stack gives tests the real stack: the built program, simulated cards
// in the readers of the running PC/SC daemon, and GnuPG, OpenSC and OpenSSL,
// with a home directory for each test. The daemon itself is left to
// scripts/test.sh, and what must be true of a card to the tests.
package stack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// commandTimeout is long enough for a key generation in software and short
// enough to say which command hangs.
const commandTimeout = time.Minute

// Main builds the program, puts it on the path, runs the tests and returns
// their exit status.
func Main(m *testing.M) int {
	dir, err := shared("cardctl-bin-") // other users run it too
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	build := exec.Command("go", "build", "-o", filepath.Join(dir, "cardctl"), "github.com/cardctl/cardctl/cmd/cardctl")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "%v: %v\n%s", build.Args, err, out)
		return 1
	}
	if err := os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH")); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// Desk is the place of one test: directories, environment, programs.
type Desk struct {
	tb        testing.TB
	dir       string
	env       map[string]string
	authority *Authority
	logs      []string // of what Start started
}

// NewDesk makes an empty home. Its path is short, for GnuPG puts sockets there.
func NewDesk(tb testing.TB) *Desk {
	tb.Helper()
	dir, err := os.MkdirTemp("/tmp", "desk-")
	if err != nil {
		tb.Fatal(err)
	}
	d := &Desk{tb: tb, dir: dir, env: map[string]string{
		"HOME":              dir,
		"XDG_CONFIG_HOME":   filepath.Join(dir, "config"),
		"XDG_CACHE_HOME":    filepath.Join(dir, "cache"),
		"XDG_STATE_HOME":    filepath.Join(dir, "state"),
		"XDG_RUNTIME_DIR":   filepath.Join(dir, "run"),
		"CARDCTL_STATE_DIR": filepath.Join(dir, "state", "cardctl"),
		"LC_ALL":            "C.UTF-8",
		"TZ":                "UTC",
	}}
	tb.Cleanup(func() {
		d.explain()
		if err := os.RemoveAll(dir); err != nil {
			tb.Error(err)
		}
	})
	return d
}

// Path is a file of this desk.
func (d *Desk) Path(name string) string { return filepath.Join(d.dir, name) }

// Setenv sets a variable for every command run from now on.
func (d *Desk) Setenv(name, value string) { d.env[name] = value }

// Write makes a file and returns its path.
func (d *Desk) Write(name, content string, mode os.FileMode) string {
	d.tb.Helper()
	path := d.Path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		d.tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		d.tb.Fatal(err)
	}
	return path
}

// Read returns the content of a file of this desk.
func (d *Desk) Read(name string) []byte {
	d.tb.Helper()
	content, err := os.ReadFile(d.Path(name))
	if err != nil {
		d.tb.Fatal(err)
	}
	return content
}

// Result is what a command left behind.
type Result struct {
	Line   string // the command line
	Stdout string
	Stderr string
	Exit   int
}

func (r Result) String() string {
	return fmt.Sprintf("$ %s\n%s%sexit status %d", r.Line, r.Stdout, r.Stderr, r.Exit)
}

// Try runs a command in the desk's directory, without input, and returns
// however it ended. A command that hangs fails the test.
func (d *Desk) Try(name string, args ...string) Result { return d.TryInput("", name, args...) }

// TryInput is Try with something on standard input.
func (d *Desk) TryInput(input, name string, args ...string) Result {
	d.tb.Helper()
	result, _ := d.try(input, name, args...)
	return result
}

func (d *Desk) try(input, name string, args ...string) (Result, *exec.Cmd) {
	d.tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), commandTimeout)
	defer cancel()
	cmd := d.command(ctx, name, args...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	err := cmd.Run()
	result := Result{
		Line:   strings.Join(append([]string{name}, args...), " "),
		Stdout: stdout.String(), Stderr: stderr.String(), Exit: cmd.ProcessState.ExitCode(),
	}
	var status *exec.ExitError
	switch {
	case ctx.Err() != nil:
		d.tb.Fatalf("no end after %v:\n%v", commandTimeout, result)
	case err != nil && !errors.As(err, &status):
		d.tb.Fatalf("%s: %v", result.Line, err)
	}
	return result, cmd
}

// Run is Try for a command that has to succeed; it returns its output.
func (d *Desk) Run(name string, args ...string) string {
	d.tb.Helper()
	return d.RunInput("", name, args...)
}

// RunInput is Run with something on standard input.
func (d *Desk) RunInput(input, name string, args ...string) string {
	d.tb.Helper()
	result := d.TryInput(input, name, args...)
	if result.Exit != 0 {
		d.tb.Fatal(result)
	}
	return result.Stdout
}

// Start runs a command in the background until the test ends, or until the
// function it returns is called. Output goes to the test's log file name, whose end is
// shown if the test fails.
func (d *Desk) Start(log, name string, args ...string) (stop func()) {
	d.tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	cmd := d.command(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 5 * time.Second
	out, err := os.Create(d.Path(log))
	if err != nil {
		d.tb.Fatal(err)
	}
	d.keepsLog(log)
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		d.tb.Fatalf("%s: %v", name, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
		_ = out.Close()
	}()
	stop = func() {
		cancel()
		<-ended
	}
	d.tb.Cleanup(stop)
	return stop
}

func (d *Desk) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = d.dir
	cmd.WaitDelay = time.Second // a daemon that keeps the pipe does not keep us
	for _, variable := range os.Environ() {
		if name, _, _ := strings.Cut(variable, "="); !strings.HasPrefix(name, "CARDCTL_") {
			cmd.Env = append(cmd.Env, variable)
		}
	}
	for name, value := range d.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	return cmd
}

// Eventually waits until a condition holds.
func (d *Desk) Eventually(what string, holds func() bool) {
	d.tb.Helper()
	for deadline := time.Now().Add(60 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if holds() {
			return
		}
	}
	d.tb.Fatalf("not within a minute: %s", what)
}
