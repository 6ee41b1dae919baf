//go:build unix

package openvpn

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

func usualPlaces() []string {
	return []string{"/usr/sbin/openvpn", "/usr/local/sbin/openvpn", "/opt/homebrew/sbin/openvpn"}
}

// ofItsOwn gives a child a process group of its own.
func ofItsOwn(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// tellToEnd is for a child that cannot be told through its management interface.
func tellToEnd(p *os.Process) error { return p.Signal(syscall.SIGTERM) }

// newDoor waits for OpenVPN at a socket in a directory that only this user can enter.
func newDoor() (*door, error) {
	const socket = "management"
	dir, err := privateDir(socket)
	if err != nil {
		return nil, err
	}
	path := filepath.Join(dir, socket)
	d := &door{dir: dir, args: []string{"--management", path, "unix"}}
	if d.listener, err = net.Listen("unix", path); err != nil {
		return nil, d.failed(err)
	}
	return d, nil
}

// privateDir makes a directory for a socket of this name, which a long TMPDIR leaves no
// room for: the name of a socket has at most 104 bytes, or a few more (unix(7)).
func privateDir(socket string) (string, error) {
	const longest, pattern = 103, "cardctl-openvpn-"
	dir, err := os.MkdirTemp("", pattern)
	if err != nil || len(filepath.Join(dir, socket)) <= longest {
		return dir, err
	}
	if err := os.Remove(dir); err != nil {
		return "", err
	}
	return os.MkdirTemp("/tmp", pattern)
}

// isChild is true: nobody else reaches the socket.
func isChild(net.Conn, int) (bool, error) { return true, nil }
