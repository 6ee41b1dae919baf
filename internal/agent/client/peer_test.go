//go:build linux

package client_test

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/agent/client"
)

func TestPeer(t *testing.T) {
	listener, err := client.Listen(filepath.Join(privateDir(t), "ctl"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	ours, err := net.Dial("unix", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ours.Close() }()
	theirs, err := listener.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	comm, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		t.Fatal(err)
	}
	uid, pid, name, err := client.Peer(theirs)
	if err != nil || uid != os.Getuid() || pid != os.Getpid() || name != strings.TrimSpace(string(comm)) {
		t.Errorf("%d, %d, %q, %v", uid, pid, name, err)
	}
	_ = theirs.Close()
	if _, _, _, err := client.Peer(theirs); err == nil {
		t.Error("the peer of a closed connection is known")
	}
}
