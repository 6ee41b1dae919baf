package pcsc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/sys/unix"
)

// Of linux/sock_diag.h and linux/unix_diag.h.
const (
	sockDiagByFamily = 20

	showName = 0x01
	showPeer = 0x04

	attributeName = 0
	attributePeer = 2

	requestLength = 24 // struct unix_diag_req
	messageLength = 16 // struct unix_diag_msg
)

// unixSocket is a socket of the AF_UNIX family; peer is the inode of the other
// end, 0 where there is none.
type unixSocket struct {
	inode, peer uint32
	name        string
}

// socketClients returns the inodes of the sockets that are connected to a
// server with one of the names.
func socketClients(names map[string]bool) (map[uint32]bool, error) {
	sockets, err := unixSockets()
	if err != nil {
		return nil, err
	}
	clients := map[uint32]bool{}
	for _, s := range sockets {
		if s.peer != 0 && names[s.name] {
			clients[s.peer] = true
		}
	}
	return clients, nil
}

// unixSockets asks the kernel for all AF_UNIX sockets (sock_diag(7)).
func unixSockets() ([]unixSocket, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_SOCK_DIAG)
	if err != nil {
		return nil, fmt.Errorf("sock_diag: %w", err)
	}
	defer func() { _ = unix.Close(fd) }()
	timeout := unix.Timeval{Sec: 1}
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
		return nil, fmt.Errorf("sock_diag: %w", err)
	}
	if err := unix.Sendto(fd, dumpRequest(), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return nil, fmt.Errorf("sock_diag: %w", err)
	}
	var list []unixSocket
	buffer := make([]byte, 64<<10)
	for {
		n, _, err := unix.Recvfrom(fd, buffer, 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("sock_diag: %w", err)
		}
		sockets, done, err := parseDump(buffer[:n])
		if err != nil {
			return nil, err
		}
		list = append(list, sockets...)
		if done {
			return list, nil
		}
	}
}

func dumpRequest() []byte {
	b := make([]byte, 0, unix.SizeofNlMsghdr+requestLength)
	b = binary.NativeEndian.AppendUint32(b, unix.SizeofNlMsghdr+requestLength)
	b = binary.NativeEndian.AppendUint16(b, sockDiagByFamily)
	b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_DUMP)
	b = binary.NativeEndian.AppendUint32(b, 1) // sequence number
	b = binary.NativeEndian.AppendUint32(b, 0) // to the kernel
	b = append(b, unix.AF_UNIX, 0, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, ^uint32(0)) // sockets in every state
	b = binary.NativeEndian.AppendUint32(b, 0)          // of every inode
	b = binary.NativeEndian.AppendUint32(b, showName|showPeer)
	return append(b, make([]byte, 8)...) // no cookie
}

var errDump = errors.New("sock_diag: malformed answer")

// parseDump reads the netlink messages of one datagram; done says that no
// other follows.
func parseDump(b []byte) (list []unixSocket, done bool, err error) {
	for len(b) >= unix.SizeofNlMsghdr {
		length := int(binary.NativeEndian.Uint32(b))
		kind := binary.NativeEndian.Uint16(b[4:])
		if length < unix.SizeofNlMsghdr || length > len(b) {
			return nil, false, errDump
		}
		body := b[unix.SizeofNlMsghdr:length]
		b = b[min(align(length), len(b)):]
		switch kind {
		case unix.NLMSG_DONE:
			return list, true, nil
		case unix.NLMSG_ERROR:
			if len(body) < 4 {
				return nil, false, errDump
			}
			return nil, false, fmt.Errorf("sock_diag: %w", unix.Errno(-int32(binary.NativeEndian.Uint32(body))))
		case sockDiagByFamily:
			s, err := parseSocket(body)
			if err != nil {
				return nil, false, err
			}
			list = append(list, s)
		}
	}
	return list, false, nil
}

func parseSocket(b []byte) (unixSocket, error) {
	if len(b) < messageLength {
		return unixSocket{}, errDump
	}
	s := unixSocket{inode: binary.NativeEndian.Uint32(b[4:])}
	for b = b[messageLength:]; len(b) >= unix.SizeofRtAttr; {
		length := int(binary.NativeEndian.Uint16(b))
		if length < unix.SizeofRtAttr || length > len(b) {
			return unixSocket{}, errDump
		}
		value := b[unix.SizeofRtAttr:length]
		switch binary.NativeEndian.Uint16(b[2:]) {
		case attributeName:
			s.name = strings.TrimRight(string(value), "\x00")
		case attributePeer:
			if len(value) >= 4 {
				s.peer = binary.NativeEndian.Uint32(value)
			}
		}
		b = b[min(align(length), len(b)):]
	}
	return s, nil
}

// align rounds up to the four bytes that netlink messages and attributes
// start at.
func align(n int) int { return (n + 3) &^ 3 }
