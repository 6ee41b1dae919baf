//go:build stack

// Package windows runs the program for Windows under Wine, on a card in a virtual reader
// of the PC/SC daemon and with the rules of Windows' own smart-card service, for which
// the relay stands in. What the commands do with a card is left to the other tests.
package windows

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cardctl/cardctl/test/stack"
	"github.com/cardctl/cardctl/test/wine"
)

func TestMain(m *testing.M) { os.Exit(stack.Main(m)) }

// machine is a Windows with the program and a smart-card service.
type machine struct {
	*wine.Wine
	relay   *relay
	program string
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	dir, err := os.MkdirTemp("", "windows-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	m := &machine{Wine: wine.New(t, dir), relay: newRelay(t), program: filepath.Join(dir, "cardctl.exe")}
	build := exec.Command("go", "build", "-o", m.program, "github.com/cardctl/cardctl/cmd/cardctl")
	build.Env = append(os.Environ(), "GOOS=windows", "GOARCH=amd64", "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v: %v\n%s", build.Args, err, out)
	}
	m.Library(t, m.System("winscard.dll"), "testdata/winscard.c", "-lws2_32")
	return m
}

// desk is the place of one test on a machine.
type desk struct {
	*stack.Desk
	t       *testing.T
	machine *machine
}

func (m *machine) desk(t *testing.T) *desk {
	t.Helper()
	d := &desk{stack.NewDesk(t), t, m}
	m.Setenv(d.Setenv)
	d.Setenv("CARD_RELAY", m.relay.port())
	return d
}

// windows runs the program for Windows, which has to succeed, and returns its output.
func (d *desk) windows(args ...string) string { return d.Run(wine.Launcher, d.line(args)...) }

// tried runs the program for Windows, however it ends.
func (d *desk) tried(args ...string) stack.Result { return d.Try(wine.Launcher, d.line(args)...) }

func (d *desk) line(args []string) []string { return append([]string{d.machine.program}, args...) }

func (d *desk) decode(text string, document any) {
	d.t.Helper()
	if err := json.Unmarshal([]byte(text), document); err != nil {
		d.t.Fatalf("%v in %s", err, text)
	}
}
