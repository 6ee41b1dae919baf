package openvpn

import (
	"crypto/rand"
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/windows"
)

func usualPlaces() []string {
	return []string{filepath.Join(os.Getenv("ProgramFiles"), "OpenVPN", "bin", "openvpn.exe")}
}

// ofItsOwn gives a child a process group of its own, which gets no Ctrl-C.
func ofItsOwn(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
}

// tellToEnd is for a child that cannot be told through its management interface.
func tellToEnd(p *os.Process) error { return p.Kill() }

// newDoor waits for OpenVPN at a port of this machine, with a password in a file of this
// user.
func newDoor() (*door, error) {
	dir, err := os.MkdirTemp("", "cardctl-openvpn-")
	if err != nil {
		return nil, err
	}
	d := &door{dir: dir, password: rand.Text()}
	file := filepath.Join(dir, "password")
	if err := os.WriteFile(file, []byte(d.password+"\n"), 0o600); err != nil {
		return nil, d.failed(err)
	}
	if d.listener, err = net.Listen("tcp4", "127.0.0.1:0"); err != nil {
		return nil, d.failed(err)
	}
	port := d.listener.Addr().(*net.TCPAddr).Port
	d.args = []string{"--management", "127.0.0.1", strconv.Itoa(port), file}
	return d, nil
}

// row is a MIB_TCPROW_OWNER_PID.
type row struct {
	_, _       uint32 // state, local address
	localPort  networkPort
	_          uint32 // remote address
	remotePort networkPort
	pid        uint32
}

// networkPort is in the order of bytes of the network, in the lower half.
type networkPort uint32

func (p networkPort) is(port int) bool { return int(p&0xFF)<<8|int(p>>8&0xFF) == port }

const (
	ofConnections = 4 // TCP_TABLE_OWNER_PID_CONNECTIONS
	mostLooks     = 40
	pause         = 50 * time.Millisecond
)

// isChild reports whether a process is at the other end of a connection on this machine:
// any program may connect to a port, and would be told the PIN. The table may be late.
func isChild(conn net.Conn, pid int) (bool, error) {
	for range mostLooks {
		owner, err := ownerOf(conn.RemoteAddr().(*net.TCPAddr).Port, conn.LocalAddr().(*net.TCPAddr).Port)
		if err != nil || owner != 0 {
			return owner == uint32(pid), err
		}
		time.Sleep(pause)
	}
	return false, nil
}

// ownerOf is the process that has the connection between two ports; 0 if the table does
// not say it.
func ownerOf(local, remote int) (pid uint32, err error) {
	getTable := windows.NewLazySystemDLL("iphlpapi.dll").NewProc("GetExtendedTcpTable")
	if err := getTable.Find(); err != nil {
		return 0, err
	}
	size := uint32(1 << 16)
	table := make([]byte, size)
	status, _, _ := getTable.Call(uintptr(unsafe.Pointer(&table[0])), uintptr(unsafe.Pointer(&size)), 0, windows.AF_INET, ofConnections, 0)
	if windows.Errno(status) == windows.ERROR_INSUFFICIENT_BUFFER {
		size += 1 << 12 // it may grow meanwhile
		table = make([]byte, size)
		status, _, _ = getTable.Call(uintptr(unsafe.Pointer(&table[0])), uintptr(unsafe.Pointer(&size)), 0, windows.AF_INET, ofConnections, 0)
	}
	if status != 0 {
		return 0, windows.Errno(status)
	}
	const header = 4
	rows := unsafe.Slice((*row)(unsafe.Pointer(&table[header])), (len(table)-header)/int(unsafe.Sizeof(row{})))
	for _, r := range rows[:min(int(binary.LittleEndian.Uint32(table)), len(rows))] {
		if r.localPort.is(local) && r.remotePort.is(remote) {
			return r.pid, nil
		}
	}
	return 0, nil
}
