package pcsc

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/fstest"

	"golang.org/x/sys/unix"

	"github.com/cardctl/cardctl/internal/gnupg"
)

func systemFiles() fstest.MapFS {
	link := func(target string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink}
	}
	text := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	proc := fstest.MapFS{
		"uptime":      text("1.0 2.0\n"),
		"self":        link("300"),
		"100/comm":    text("firefox\n"),
		"100/fd/0":    link("/dev/null"),
		"100/fd/7":    link("socket:[4001]"),
		"200/comm":    text("scdaemon\n"),
		"200/cmdline": text("scdaemon\x00--multi-server\x00"),
		"200/status":  text("Uid:\t1000\t1000\t1000\t1000\n"),
		"200/stat":    text("200 (scdaemon) S 1 200 200 0\n"),
		"200/fd/5":    link("socket:[4002]"),
		"300/comm":    text("cardctl\n"),
		"300/fd/5":    link("socket:[4003]"),
		"400/comm":    text("bash\n"),
		"400/fd/0":    link("pipe:[4001]"),
		"400/fd/1":    link("socket:[bad]"),
		"450/comm":    text("scdaemon\n"),
		"450/stat":    text("450 (scd) R) Z 1 450 450 0\n"), // not waited for
		"500/status":  text("gone between two looks\n"),
	}
	root := fstest.MapFS{}
	for name, file := range proc {
		root["proc/"+name] = file
	}
	return root
}

func TestHoldersIn(t *testing.T) {
	const settings = "home/me/.gnupg/scdaemon.conf"
	firefox, scd, shared := Process{PID: 100, Name: "firefox"}, Process{PID: 200, Name: "scdaemon"}, Process{PID: 200, Name: "scdaemon", Shares: true}
	tests := []struct {
		name     string
		clients  map[uint32]bool
		settings string
		want     []Process
	}{
		{"one", map[uint32]bool{4001: true}, "", []Process{firefox}},
		{"scdaemon first", map[uint32]bool{4001: true, 4002: true}, "disable-ccid\n", []Process{scd, firefox}},
		{"scdaemon that shares last", map[uint32]bool{4001: true, 4002: true}, "pcsc-shared\n", []Process{firefox, shared}},
		{"not ourselves", map[uint32]bool{4001: true, 4003: true}, "", []Process{firefox}},
		{"sockets not seen", map[uint32]bool{9: true}, "", []Process{scd}},
		{"sockets not told", nil, "", []Process{scd}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			root := systemFiles()
			root[settings] = &fstest.MapFile{Data: []byte(test.settings)}
			if got := holdersIn(t.Context(), root, test.clients, 300, gnupg.User{ID: 1000, Home: "/home/me"}); !slices.Equal(got, test.want) {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

// The kernel is asked about real sockets.
func TestSocketClients(t *testing.T) {
	path := filepath.Join(t.TempDir(), "daemon.comm")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	clients, err := socketClients(map[string]bool{path: true})
	if err != nil || len(clients) != 0 {
		t.Fatalf("before anybody connected: %v, %v", clients, err)
	}
	client, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if clients, err = socketClients(map[string]bool{path: true}); err != nil || len(clients) != 1 {
		t.Fatalf("one connection: %v, %v", clients, err)
	}
	// Seen from another process, that is this one.
	holders := holdersIn(t.Context(), os.DirFS("/"), clients, 0, gnupg.User{})
	if len(holders) != 1 || holders[0].PID != os.Getpid() {
		t.Errorf("holders %v, want process %d", holders, os.Getpid())
	}
	if other, err := socketClients(map[string]bool{path + "x": true}); err != nil || len(other) != 0 {
		t.Errorf("clients of another name: %v, %v", other, err)
	}
}

// native is values as the kernel lays them out.
func native(values ...any) []byte {
	var b []byte
	for _, v := range values {
		b, _ = binary.Append(b, binary.NativeEndian, v)
	}
	return b
}

// aSocket is a dump of one socket, less the message that ends it.
func aSocket() []byte {
	return native(uint32(48), uint16(sockDiagByFamily), uint16(2), uint32(1), uint32(0),
		[]byte{1, 1, 1, 0}, uint32(5), uint64(0),
		uint16(6), uint16(attributeName), []byte("/a\x00\x00"),
		uint16(8), uint16(attributePeer), uint32(9))
}

func lastMessage(kind uint16, value int32) []byte {
	return native(uint32(20), kind, uint16(2), uint32(1), uint32(0), value)
}

func TestParseDump(t *testing.T) {
	socket := unixSocket{inode: 5, peer: 9, name: "/a"}
	tests := []struct {
		name string
		dump []byte
		want []unixSocket
		done bool
		err  error
	}{
		{name: "more to come", dump: aSocket(), want: []unixSocket{socket}},
		{name: "end", dump: append(aSocket(), lastMessage(unix.NLMSG_DONE, 0)...), want: []unixSocket{socket}, done: true},
		{name: "error", dump: lastMessage(unix.NLMSG_ERROR, -int32(unix.EPERM)), err: unix.EPERM},
		{name: "cut in the attributes", dump: native(uint32(44), aSocket()[4:44]), err: errDump},
		{name: "longer than it is", dump: aSocket()[:40], err: errDump},
		{name: "length of nothing", dump: make([]byte, 16), err: errDump},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, done, err := parseDump(test.dump)
			if !errors.Is(err, test.err) || done != test.done || !slices.Equal(got, test.want) {
				t.Errorf("%v, %v, %v", got, done, err)
			}
		})
	}
}

func FuzzParseDump(f *testing.F) {
	f.Add(dumpRequest())
	f.Add(aSocket())
	f.Add(lastMessage(unix.NLMSG_DONE, 0))
	f.Add(lastMessage(unix.NLMSG_ERROR, -1))
	f.Fuzz(func(t *testing.T, b []byte) {
		sockets, done, err := parseDump(b)
		if err != nil && (sockets != nil || done) {
			t.Errorf("%v, %v beside %v", sockets, done, err)
		}
	})
}
