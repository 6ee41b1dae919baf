package opensc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/runner"
)

// socket is the variable by which a child finds its test.
const socket = "STAND_IN_FOR_OPENSC"

// names are those of the programs.
func names() []string { return []string{"opensc-tool", "pkcs15-init", "pkcs15-tool"} }

// Serve puts the programs onto the search path until the test ends: they are the
// program of the test under other names, and have it do the work. It returns the
// environment in which they find it. TestMain has to begin with Main.
func (o *Programs) Serve(t *testing.T) (env []string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "opensc-") // short, as the names of sockets have to be
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names() {
		if err := os.Symlink(self, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "test"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			child, err := listener.Accept()
			if err != nil {
				return // the test is over
			}
			if err := o.serve(t.Context(), child); err != nil {
				t.Errorf("the stand-in for OpenSC: %v", err)
			}
		}
	}()
	t.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	return append(os.Environ(), socket+"="+listener.Addr().String())
}

// serve runs what a child was started for.
func (o *Programs) serve(ctx context.Context, child net.Conn) error {
	var p runner.Program
	if err := json.NewDecoder(child).Decode(&p); err != nil {
		return errors.Join(err, child.Close())
	}
	result, err := o.run(ctx, p)
	return errors.Join(err, json.NewEncoder(child).Encode(result), child.Close())
}

// Main does not return in a process that Serve's programs run in.
func Main() {
	address, isChild := os.LookupEnv(socket)
	name := filepath.Base(os.Args[0])
	if !isChild || !slices.Contains(names(), name) {
		return
	}
	result, err := handOver(address, name)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	_, _ = os.Stdout.Write(result.Stdout)
	_, _ = os.Stderr.Write(result.Stderr)
	os.Exit(result.Exit)
}

// handOver has the test do what this process was started for.
func handOver(address, name string) (result runner.Result, err error) {
	p := runner.Program{Name: name, Args: os.Args[1:], Env: os.Environ()}
	for i, argument := range p.Args {
		if !strings.HasPrefix(argument, "/dev/fd/") {
			continue
		}
		if p.File, err = os.ReadFile(argument); err != nil {
			return result, err
		}
		p.Args[i] = runner.FilePlace
	}
	if p.Stdin, err = io.ReadAll(os.Stdin); err != nil {
		return result, err
	}
	var question bytes.Buffer
	if err := json.NewEncoder(&question).Encode(p); err != nil {
		return result, err
	}
	test, err := net.Dial("unix", address)
	if err != nil {
		return result, err
	}
	defer func() { _ = test.Close() }()
	if _, err := question.WriteTo(test); err != nil {
		return result, err
	}
	return result, json.NewDecoder(test).Decode(&result)
}
