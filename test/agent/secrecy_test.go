//go:build stack && linux

package agent_test

import (
	"fmt"
	"os"
	"regexp"
	"syscall"
	"testing"
)

// ofProcess is a line of a file below /proc/PID.
func ofProcess(t *testing.T, pid int, file, pattern string) string {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(pattern).FindSubmatch(text)
	if found == nil {
		t.Fatalf("%s: no %s in\n%s", file, pattern, text)
	}
	return string(found[1])
}

// TestNothingIsLeftOfThePIN has the agent crash with a PIN: it is in no file and no core, and
// it was not swapped. The next agent takes over the sockets.
func TestNothingIsLeftOfThePIN(t *testing.T) {
	d := newStillDesk(t)
	openPGPEC.bring(t, d, 0)
	p := d.foreground(t, "--idle-release", "1h")
	d.signs(t, openPGPEC, signing)
	if limit := ofProcess(t, p.PID(), "limits", `Max core file size\s+(\S+)`); limit != "0" {
		t.Errorf("a core file may have %s bytes", limit)
	}
	if locked := ofProcess(t, p.PID(), "status", `VmLck:\s+(\d+)`); locked == "0" {
		t.Error("no memory is locked")
	}
	if err := p.Signal(syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	p.Wait()
	if found := d.filesWith(t, cardPIN, d.Path(""), d.run); len(found) > 0 {
		t.Errorf("files with the PIN: %v", found)
	}
	d.start(t)
	d.signs(t, openPGPEC, signing)
	d.wantAsked(t, 2)
}
