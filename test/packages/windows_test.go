//go:build packages

package packages

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// windowsWays are what the program does in a way of its own on Windows.
var windowsWays = map[string]func(*testing.T, platform){
	"a file that others can read": checkReadableFile,
	"a card in use":               checkCardInUse,
}

// refused runs the program, which has to end with a status and say something.
func refused(t *testing.T, p platform, dir string, status int, says string, args ...string) {
	t.Helper()
	out, err := p.command(dir, args...).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != status || !strings.Contains(string(out), says) {
		t.Errorf("cardctl %s: %v, want status %d and %q\n%s", strings.Join(args, " "), err, status, says, out)
	}
}

// checkReadableFile: Wine makes the access control list of a file from its mode.
func checkReadableFile(t *testing.T, p platform) {
	dir := t.TempDir()
	p.env = append(p.env, "CARDCTL_READER=sim:desk", "NEW_ADMIN_PIN=73915824")
	p.run(t, dir, "sim", "create", "desk")
	name := filepath.Join(dir, "pin")
	if err := os.WriteFile(name, []byte("648219\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o644); err != nil { // whatever the umask is
		t.Fatal(err)
	}
	init := []string{"init", "--yes", "--pin", "file:pin", "--admin-pin", "env:NEW_ADMIN_PIN"}
	refused(t, p, dir, 2, "other users can read it", init...)
	if err := os.Chmod(name, 0o600); err != nil {
		t.Fatal(err)
	}
	p.run(t, dir, init...)
}

// checkCardInUse holds a card, and lets it go by killing who holds it.
func checkCardInUse(t *testing.T, p platform) {
	dir := t.TempDir()
	p.env = append(p.env, "CARDCTL_READER=sim:desk", "NEW_ADMIN_PIN=73915824")
	p.run(t, dir, "sim", "create", "desk")
	daemon, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = daemon.Close() }()
	attached := p.command(dir, "sim", "attach", "desk", "--address", daemon.Addr().String())
	if err := attached.Start(); err != nil {
		t.Fatal(err)
	}
	if err := daemon.(*net.TCPListener).SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := daemon.Accept(); err != nil {
		t.Fatal(err)
	}
	refused(t, p, dir, 6, "in use", "info")
	if err := attached.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = attached.Wait() // it was killed
	p.run(t, dir, "info")
}
