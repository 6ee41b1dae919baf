// Package wine gives tests a Windows: Wine in a directory of its own, with the
// libraries that programs in Go need and that old versions of Wine lack. It builds
// further libraries from C. What runs in it is left to the tests.
package wine

import (
	_ "embed"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Launcher starts a program of Windows. The directory is that of Debian.
const Launcher = "/usr/lib/wine/wine64"

//go:embed testdata/bcryptprimitives.c
var bcryptprimitives []byte

// Wine is a Windows.
type Wine struct {
	// Env are the variables that every program in it needs.
	Env []string

	prefix string
}

// New makes a Windows below a directory, without a display. It ends with the test.
func New(tb testing.TB, dir string) *Wine {
	tb.Helper()
	w := &Wine{prefix: filepath.Join(dir, "wine")}
	w.Env = []string{
		"WINEPREFIX=" + w.prefix, "WINEDEBUG=-all", "DISPLAY=",
		"WINEDLLOVERRIDES=winemenubuilder.exe,mscoree,mshtml=d;winscard,bcryptprimitives=n,b",
	}
	if out, err := w.run("wineboot", "--init"); err != nil {
		tb.Fatalf("wineboot --init: %v\n%s", err, out)
	}
	w.stay(tb)
	source := filepath.Join(dir, "bcryptprimitives.c")
	if err := os.WriteFile(source, bcryptprimitives, 0o600); err != nil {
		tb.Fatal(err)
	}
	w.Library(tb, w.System("bcryptprimitives.dll"), source, "-ladvapi32")
	return w
}

// stay keeps a program running until the test ends. The first program of a Windows starts
// services, which would keep its output open.
func (w *Wine) stay(tb testing.TB) {
	cmd := w.command("cmd")
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		_ = in.Close()
		_ = cmd.Wait()
		_, _ = w.run("wineboot", "--kill") // fails if it has ended already
	})
}

// Run runs a program of the system, which has to succeed.
func (w *Wine) Run(tb testing.TB, args ...string) {
	tb.Helper()
	if out, err := w.run(args...); err != nil {
		tb.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// Succeeds runs a program, and reports whether it ended with status 0.
func (w *Wine) Succeeds(args ...string) bool {
	_, err := w.run(args...)
	return err == nil
}

func (w *Wine) run(args ...string) ([]byte, error) { return w.command(args...).CombinedOutput() }

func (w *Wine) command(args ...string) *exec.Cmd {
	cmd := exec.Command(Launcher, args...)
	cmd.Env = slices.Concat(os.Environ(), []string{"HOME=" + filepath.Dir(w.prefix)}, w.Env)
	return cmd
}

// Setenv passes every variable that a program in it needs to a function.
func (w *Wine) Setenv(set func(name, value string)) {
	for _, variable := range w.Env {
		name, value, _ := strings.Cut(variable, "=")
		set(name, value)
	}
}

// System is a file of the directory for the libraries of the system.
func (w *Wine) System(name string) string {
	return filepath.Join(w.prefix, "drive_c/windows/system32", name)
}

// Library builds a library for Windows from a file in C, with flags for the linker.
func (w *Wine) Library(tb testing.TB, path, source string, flags ...string) {
	tb.Helper()
	w.Program(tb, path, source, append([]string{"-shared"}, flags...)...)
}

// Program builds a program for Windows from a file in C, with flags for the linker.
func (w *Wine) Program(tb testing.TB, path, source string, flags ...string) {
	tb.Helper()
	args := append([]string{"-O1", "-Wall", "-Wextra", "-Werror", "-o", path, source}, flags...)
	if out, err := exec.Command("x86_64-w64-mingw32-gcc", args...).CombinedOutput(); err != nil {
		tb.Fatalf("%s: %v\n%s", source, err, out)
	}
}
