package client

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"
	"unicode"
)

// Peer is who is at the other end of a socket: the user, the process, and the name of its
// program, which is empty where it cannot be read. The process chose that name itself. Of a
// process of this program that passes on what another one says, it is that one.
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
	pid = behind(int(peer.Pid))
	return int(peer.Uid), pid, NameOf(pid), nil
}

// NameOf is the name of a process; empty if it has ended or is hidden.
func NameOf(pid int) string {
	comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
	if err != nil {
		return ""
	}
	return printable(strings.TrimSuffix(string(comm), "\n"))
}

// behind is the program that started another process of this one to reach the agent, as
// gpg-agent starts cardctl-scd; of any other process it is the process itself.
func behind(pid int) int {
	own, err := os.Stat("/proc/self/exe")
	if err != nil || pid == os.Getpid() {
		return pid
	}
	its, err := os.Stat(fmt.Sprintf("/proc/%d/exe", pid))
	if err != nil || !os.SameFile(own, its) {
		return pid
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return pid
	}
	// proc_pid_stat(5): the process, its name in parentheses, its state, its parent.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 2 {
		return pid
	}
	if parent, err := strconv.Atoi(fields[1]); err == nil && parent > 1 {
		return parent
	}
	return pid
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
