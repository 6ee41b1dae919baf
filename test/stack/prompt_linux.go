package stack

import "syscall"

// Read acknowledges at once what comes: the driver sends a length and what
// follows apart, and waits for the one to be acknowledged before the other. The
// kernel goes back to delaying by itself, so every read says it anew.
func (p prompt) Read(b []byte) (int, error) {
	raw, err := p.SyscallConn()
	if err != nil {
		return 0, err
	}
	if err := raw.Control(func(fd uintptr) {
		_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, syscall.TCP_QUICKACK, 1)
	}); err != nil {
		return 0, err
	}
	return p.TCPConn.Read(b)
}
