//go:build linux

package client_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/cardctl/cardctl/internal/agent/client"
)

// socketVariable has this program connect to a socket, and wait until it is closed.
const socketVariable = "CONNECT_TO_SOCKET"

func TestMain(m *testing.M) {
	if socket := os.Getenv(socketVariable); socket != "" {
		conn, err := net.Dial("unix", socket)
		if err == nil {
			_, _ = conn.Read(make([]byte, 1))
		}
		return
	}
	os.Exit(m.Run())
}

// Who asks is not the process that passes it on, but the one that started it.
func TestPeerBehind(t *testing.T) {
	listener, err := client.Listen(filepath.Join(privateDir(t), "ctl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	another := filepath.Join(t.TempDir(), "another")
	own, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(another, own, 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		program string
		own     bool
	}{{os.Args[0], true}, {another, false}} {
		cmd := exec.Command(test.program)
		cmd.Env = append(os.Environ(), socketVariable+"="+listener.Addr().String())
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		conn, err := listener.AcceptUnix()
		if err != nil {
			t.Fatal(err)
		}
		want := cmd.Process.Pid
		if test.own {
			want = os.Getpid()
		}
		if _, pid, name, err := client.Peer(conn); err != nil || pid != want || name != client.NameOf(want) || name == "" {
			t.Errorf("%s: process %d, %q, want %d; %v", test.program, pid, name, want, err)
		}
		_ = conn.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	}
}
