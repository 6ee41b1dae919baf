//go:build stack && linux

package agent_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// pid is the process that listens on the agent's socket.
func (d *agentDesk) pid(t *testing.T) (pid int) {
	t.Helper()
	conn, err := net.Dial("unix", filepath.Join(d.run, "cardctl", "ssh"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.Control(func(fd uintptr) {
		peer, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
		if err != nil {
			t.Fatal(err)
		}
		pid = int(peer.Pid)
	}); err != nil {
		t.Fatal(err)
	}
	return pid
}

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
	d := newSigningDesk(t, "--idle-release", "1h")
	d.sign()
	pid := d.pid(t)
	if limit := ofProcess(t, pid, "limits", `Max core file size\s+(\S+)`); limit != "0" {
		t.Errorf("a core file may have %s bytes", limit)
	}
	if locked := ofProcess(t, pid, "status", `VmLck:\s+(\d+)`); locked == "0" {
		t.Error("no memory is locked")
	}
	if err := syscall.Kill(pid, syscall.SIGABRT); err != nil {
		t.Fatal(err)
	}
	d.Eventually("the agent ended", func() bool { return syscall.Kill(pid, 0) != nil })
	for _, dir := range []string{d.Path(""), d.run} {
		if err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
			if err != nil || !entry.Type().IsRegular() || strings.Contains(path, "/sim/") { // the card knows its PIN
				return err
			}
			content, err := os.ReadFile(path)
			if bytes.Contains(content, []byte("123456")) {
				t.Errorf("the PIN is in %s", path)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	d.Run("cardctl", "agent")
	d.sign()
	d.wantAsked(t, 2)
}
