//go:build cgo && unix

// Package mutation removes the checks that keep cards, keys and secrets safe
// from the code, one at a time, and requires that a test fails. The checks are
// listed in testdata/checks.txt. Nothing is changed on disk: the compiler gets
// the mutated file instead of the original. Finding the place is left to the
// list; it tries no other change.
package mutation

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// mutation is a check that is left out.
type mutation struct {
	name string // what is left out
	file string // where, from the root of the module
	from string // what stands there, once
	to   string // what stands there instead

	pkg, test string // which test has to fail
}

// patience is how long a mutated test may take, for a check that is left out may
// let it run for ever.
const patience = 2 * time.Minute

func TestEveryCheckIsThere(t *testing.T) {
	for _, m := range mutations(t) {
		if _, err := m.source("../.."); err != nil {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

func TestEveryCheckIsMissed(t *testing.T) {
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mutations(t) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			out, err := m.run(t, root)
			if err != nil && !m.failed(out) { // it waited for ever, for what did not come this time
				out, err = m.run(t, root)
			}
			switch {
			case err == nil:
				t.Errorf("%s of %s passes without it", m.test, m.pkg)
			case !m.failed(out):
				t.Errorf("%s of %s did not run: %v\n%s", m.test, m.pkg, err, out)
			}
		})
	}
}

// failed reports whether the test failed, and was not ended.
func (m mutation) failed(out string) bool { return strings.Contains(out, "--- FAIL: "+m.test) }

// source returns the file that is mutated; the line must stand there once.
func (m mutation) source(root string) (string, error) {
	source, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(m.file)))
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(source), m.from); n != 1 {
		return "", fmt.Errorf("%q stands %d times in %s", m.from, n, m.file)
	}
	return string(source), nil
}

// run runs the test on the mutated code.
func (m mutation) run(t *testing.T, root string) (string, error) {
	t.Helper()
	source, err := m.source(root)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(root, filepath.FromSlash(m.file))
	dir := t.TempDir()
	mutated := filepath.Join(dir, filepath.Base(m.file))
	overlay, err := json.Marshal(map[string]map[string]string{"Replace": {path: mutated}})
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		mutated:                       strings.Replace(source, m.from, m.to, 1),
		filepath.Join(dir, "overlay"): string(overlay),
	} {
		if err := os.WriteFile(name, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-failfast", "-vet=off", "-ldflags=-s -w", "-run", "^"+m.test+"$", "./"+m.pkg)
	cmd.Dir = root
	// A test that runs for ever is a child of go, and ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 10 * time.Second
	// The tests that build the program build the mutated one.
	cmd.Env = append(cmd.Environ(), "GOFLAGS=-overlay="+filepath.Join(dir, "overlay"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// mutations reads testdata/checks.txt: paragraphs of a name, the file, the test,
// a line with what stands there behind a minus, and what shall stand there behind
// a plus.
func mutations(t *testing.T) []mutation {
	t.Helper()
	text, err := os.ReadFile("testdata/checks.txt")
	if err != nil {
		t.Fatal(err)
	}
	var list []mutation
	for paragraph := range strings.SplitSeq(strings.TrimSpace(string(text)), "\n\n") {
		lines := strings.Split(paragraph, "\n")
		if len(lines) != 5 || lines[3][:2] != "- " || lines[4][:2] != "+ " {
			t.Fatalf("not a mutation:\n%s", paragraph)
		}
		pkg, test, _ := strings.Cut(lines[2], " ")
		list = append(list, mutation{name: lines[0], file: lines[1], from: lines[3][2:], to: lines[4][2:], pkg: pkg, test: test})
	}
	return list
}
