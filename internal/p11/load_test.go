//go:build cgo

package p11_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/problem"
)

// moduleSource is a module whose functions return what the compiler is told:
// INITIALIZE and LIST are expressions.
const moduleSource = `
#include <stdlib.h>
#include <unistd.h>
typedef unsigned long rv;
static rv initialize(void *args) { return INITIALIZE; }
static rv fails() { return 0x54; }
static struct { unsigned char major, minor; rv (*function[68])(); } list = { 2, 40 };
rv C_GetFunctionList(void **out) {
	for (int i = 0; i < 68; i++) list.function[i] = fails;
	list.function[0] = (rv (*)())initialize;
	*out = LIST;
	return 0;
}
`

// compile makes a shared library.
func compile(t *testing.T, source string, options ...string) string {
	t.Helper()
	dir := t.TempDir()
	c, so := filepath.Join(dir, "module.c"), filepath.Join(dir, "module.so")
	if err := os.WriteFile(c, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("gcc", append([]string{"-shared", "-fPIC", "-o", so, c}, options...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("gcc: %v\n%s", err, out)
	}
	return so
}

func write(t *testing.T, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "module.so")
	if err := os.WriteFile(path, content, 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// otherMachine is a real module with the machine of its ELF header changed.
func otherMachine(t *testing.T) string {
	t.Helper()
	module, err := p11.DefaultPlaces().Locate("softhsm2")
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	const machine, superH = 18, 42 // e_machine, EM_SH
	content[machine], content[machine+1] = superH, 0
	return write(t, content)
}

func TestLoadRefuses(t *testing.T) {
	tests := []struct {
		name string
		path func(*testing.T) string
		code problem.Code
		says string
	}{
		{"no file", func(t *testing.T) string { return filepath.Join(t.TempDir(), "x.so") }, problem.NotFound, "No file has this path"},
		{"text", func(t *testing.T) string { return write(t, []byte("#!/bin/sh\necho module\n")) }, problem.Mismatch, "not a shared library"},
		{"empty file", func(t *testing.T) string { return write(t, nil) }, problem.Mismatch, "not a shared library"},
		{"directory", func(t *testing.T) string { return t.TempDir() }, problem.Mismatch, "not a shared library"},
		{"first half of a library", func(t *testing.T) string {
			content, err := os.ReadFile(compile(t, moduleSource, "-DINITIALIZE=0", "-DLIST=&list"))
			if err != nil {
				t.Fatal(err)
			}
			return write(t, content[:len(content)/2])
		}, problem.Mismatch, "not a"},
		{"program", func(t *testing.T) string { return "/bin/sh" }, problem.Mismatch, "C_GetFunctionList"},
		{"another library", func(t *testing.T) string { return compile(t, "int answer(void) { return 42; }") }, problem.Mismatch, "without C_GetFunctionList"},
		{"a library that needs the function", func(t *testing.T) string {
			return compile(t, "extern int C_GetFunctionList(void **); int answer(void) { return C_GetFunctionList(0); }")
		}, problem.Mismatch, "without C_GetFunctionList"},
		{"another architecture", otherMachine, problem.Mismatch, "built for another architecture"},
		{"no list of functions", func(t *testing.T) string {
			return compile(t, moduleSource, "-DINITIALIZE=0", "-DLIST=0")
		}, problem.Mismatch, "returns no functions"},
		{"a library that it needs is missing", func(t *testing.T) string {
			return compile(t, moduleSource+"extern int elsewhere; int *here = &elsewhere;", "-DINITIALIZE=0", "-DLIST=&list")
		}, problem.Failed, "elsewhere"},
		{"fails to start", func(t *testing.T) string {
			return compile(t, moduleSource, "-DINITIALIZE=5", "-DLIST=&list")
		}, problem.Failed, "CKR_GENERAL_ERROR"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := test.path(t)
			m, err := p11.NewModules().Load(t.Context(), path, "")
			if err == nil {
				t.Fatalf("loaded %s", m.Path())
			}
			if !problem.Is(err, test.code) || !strings.Contains(err.Error(), test.says) {
				t.Errorf("got %v, want %s and %q in it", err, test.code, test.says)
			}
		})
	}
}

func TestLibcIsNoModule(t *testing.T) {
	found, err := filepath.Glob("/lib/*-linux-*/libc.so.6")
	if err != nil || len(found) == 0 {
		t.Fatalf("no C library: %v", err)
	}
	if _, err := p11.NewModules().Load(t.Context(), found[0], ""); !problem.Is(err, problem.Mismatch) {
		t.Errorf("got %v", err)
	}
}

func TestModuleThatHangs(t *testing.T) {
	path := compile(t, moduleSource, "-DINITIALIZE=(sleep(3600),0)", "-DLIST=&list")
	start := time.Now()
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := p11.NewModules().Load(ctx, path, "")
	if !problem.Is(err, problem.Failed) || !strings.Contains(err.Error(), "C_Initialize") {
		t.Errorf("got %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	time.AfterFunc(100*time.Millisecond, cancel)
	if _, err := p11.NewModules().Load(ctx, path, ""); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("took %v", took)
	}
}

// A module may not know how to lock, as long as it is not called by two.
func TestModuleThatCannotLock(t *testing.T) {
	path := compile(t, moduleSource, "-DINITIALIZE=(((unsigned long *)args)[4]&2?0xA:5)", "-DLIST=&list")
	// It gets as far as 5, CKR_GENERAL_ERROR, once it is not asked to lock.
	if _, err := p11.NewModules().Load(t.Context(), path, ""); p11.CodeOf(err).Name() != "CKR_GENERAL_ERROR" {
		t.Errorf("got %v", err)
	}
}

// OpenSC looks for its driver while it starts.
func TestDriverIsForTheModule(t *testing.T) {
	path := compile(t, moduleSource, `-DINITIALIZE=(getenv("OPENSC_DRIVER")?0x30:5)`, "-DLIST=&list")
	for driver, want := range map[string]string{"openpgp": "CKR_DEVICE_ERROR", "": "CKR_GENERAL_ERROR"} {
		if _, err := p11.NewModules().Load(t.Context(), path, driver); p11.CodeOf(err).Name() != want {
			t.Errorf("driver %q: %v", driver, err)
		}
	}
	if _, err := p11.NewModules().Load(t.Context(), path, ""); p11.CodeOf(err).Name() != "CKR_GENERAL_ERROR" {
		t.Errorf("bound for ever: %v", err)
	}
}
