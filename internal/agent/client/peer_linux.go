package client

import (
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"unicode"
)

// Peer is who is at the other end of a socket: the user, the process, and the name of its
// program, which is empty where it cannot be read. The process chose that name itself.
func Peer(conn *net.UnixConn) (uid, pid int, name string, err error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0, 0, "", err
	}
	var peer *syscall.Ucred
	var failed error
	if err := raw.Control(func(fd uintptr) {
		peer, failed = syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED)
	}); err != nil {
		return 0, 0, "", err
	}
	if failed != nil {
		return 0, 0, "", os.NewSyscallError("getsockopt", failed)
	}
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", peer.Pid))
	if err != nil {
		comm = nil // it has ended, or is hidden
	}
	return int(peer.Uid), int(peer.Pid), printable(strings.TrimSuffix(string(comm), "\n")), nil
}

// printable is text without control characters, to be shown to a person.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, text)
}
