//go:build unix

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// coverage is the variable that has a program say which of its statements ran.
const coverage = "GOCOVERDIR"

// TestMain lets the scripts run the real main, and its coverage be counted with that
// of the tests.
func TestMain(m *testing.M) {
	for _, arg := range os.Args {
		if dir, ok := strings.CutPrefix(arg, "-test.gocoverdir="); ok {
			_ = os.Setenv(coverage, dir)
		}
	}
	testscript.Main(m, map[string]func(){
		"cardctl": func() {
			// Without the terminal that the tests may have been started from.
			_, _ = syscall.Setsid()
			os.Exit(mainStatus())
		},
		"pinentry": pinentry,
	})
}

// TestScripts runs testdata/script, one file a command. Cards are simulated,
// in process; there is no PC/SC daemon.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setUpScript,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits":  exits,
			"json":   checkJSON,
			"apdus":  checkAPDUs,
			"absent": checkAbsent,
			"issue":  issue,
			"pem":    makePEM,
			"cap":    makeCAP,
		},
		Condition: func(name string) (bool, error) {
			if name != "cgo" {
				return false, fmt.Errorf("no condition %q", name)
			}
			return native, nil
		},
		RequireExplicitExec: true,
	})
}

func setUpScript(e *testscript.Env) error {
	e.Setenv("CARDCTL_STATE_DIR", filepath.Join(e.WorkDir, "state"))
	e.Setenv("PCSCLITE_CSOCK_NAME", filepath.Join(e.WorkDir, "no-daemon"))
	e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
	for _, handedOn := range []string{coverage, "MUTATION"} { // the second switches a check off, see test/mutation
		e.Setenv(handedOn, os.Getenv(handedOn))
	}
	return nil
}

// exits runs a command and checks its exit status: exits 4 cardctl set-pin …
// What its error says to try is tried.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits status program args...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	err = ts.Exec(args[1], args[2:]...)
	var status *exec.ExitError
	switch {
	case errors.As(err, &status):
		got = status.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("exit status %d, want %d", got, want)
	}
	if got != 0 && args[1] == "cardctl" {
		pasted(ts, args[1:], ts.ReadFile("stderr"))
	}
}
