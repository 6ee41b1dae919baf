package cardsim

import (
	"net"
	"syscall"
)

// acknowledgeAtOnce turns delayed acknowledgement off. The kernel turns it on
// again by itself, so this is done before each message.
func acknowledgeAtOnce(conn *net.TCPConn) {
	if conn == nil {
		return
	}
	raw, err := conn.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	})
}
