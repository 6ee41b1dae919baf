//go:build !linux

package client

import (
	"net"

	"github.com/cardctl/cardctl/internal/problem"
)

// NameOf is known on Linux only.
func NameOf(int) string { return "" }

// Peer is known on Linux only.
func Peer(*net.UnixConn) (uid, pid int, name string, err error) {
	return 0, 0, "", problem.New(problem.NotSupported, "the program at the other end of a socket is known on Linux only")
}
