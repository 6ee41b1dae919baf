//go:build unix

package client_test

import (
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/cardctl/cardctl/internal/agent/client"
	"github.com/cardctl/cardctl/internal/problem"
)

func TestListen(t *testing.T) {
	directory := filepath.Join(t.TempDir(), "run", "cardctl")
	path := filepath.Join(directory, "ctl")
	listener, err := client.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]fs.FileMode{directory: fs.ModeDir | 0o700, path: fs.ModeSocket | 0o600} {
		if info, err := os.Lstat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v; want %v", name, info.Mode(), err, want)
		}
	}
	if _, err := client.Listen(path); !problem.Is(err, problem.CardBusy) {
		t.Errorf("a second agent: %v", err)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.Close()
	_ = listener.Close()
	if _, err := os.Lstat(path); err == nil {
		t.Error("the socket is left")
	}
}

// stale is a socket that nobody answers on.
func stale(t *testing.T) string {
	t.Helper()
	path := filepath.Join(privateDir(t), "ctl")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	listener.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = listener.Close()
	return path
}

func privateDir(t *testing.T) string {
	t.Helper()
	directory := t.TempDir()
	if err := os.Chmod(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	return directory
}

func TestListenTakesAStaleSocket(t *testing.T) {
	path := stale(t)
	listener, err := client.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
}

// TestTwoAgentsAtOnce has one of several win.
func TestTwoAgentsAtOnce(t *testing.T) {
	path := stale(t)
	var won atomic.Int32
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			listener, err := client.Listen(path)
			switch {
			case err == nil:
				won.Add(1)
				t.Cleanup(func() { _ = listener.Close() })
			case !problem.Is(err, problem.CardBusy):
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if won.Load() != 1 {
		t.Errorf("%d have the socket", won.Load())
	}
	if conn, err := net.Dial("unix", path); err != nil {
		t.Error(err)
	} else {
		_ = conn.Close()
	}
}

func TestListenRefuses(t *testing.T) {
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for name, prepare := range map[string]func(directory string) string{
		"a link": func(directory string) string {
			must(os.Symlink(stale(t), filepath.Join(directory, "ctl")))
			return "ctl"
		},
		"a dangling link": func(directory string) string {
			must(os.Symlink("nowhere", filepath.Join(directory, "ctl")))
			return "ctl"
		},
		"a file": func(directory string) string {
			must(os.WriteFile(filepath.Join(directory, "ctl"), nil, 0o600))
			return "ctl"
		},
		"a pipe": func(directory string) string {
			must(syscall.Mkfifo(filepath.Join(directory, "ctl"), 0o600))
			return "ctl"
		},
		"a directory that is a link": func(directory string) string {
			must(os.Symlink(privateDir(t), filepath.Join(directory, "run")))
			return "run/ctl"
		},
		"a directory of a group": func(directory string) string {
			must(os.Chmod(directory, 0o770))
			return "ctl"
		},
		"a directory of all": func(directory string) string {
			must(os.Chmod(directory, 0o777|fs.ModeSticky))
			return "ctl"
		},
		"a directory in one of a group": func(directory string) string {
			must(os.Mkdir(filepath.Join(directory, "own"), 0o700))
			must(os.Chmod(directory, 0o770))
			return "own/run/ctl"
		},
		"a directory by a link in one of all": func(directory string) string {
			must(os.Mkdir(filepath.Join(directory, "own"), 0o700))
			must(os.Mkdir(filepath.Join(directory, "of all"), 0o700))
			must(os.Symlink("../own", filepath.Join(directory, "of all", "link")))
			must(os.Chmod(filepath.Join(directory, "of all"), 0o777))
			return "of all/link/run/ctl"
		},
		"a directory that a link leads to in one of all": func(directory string) string {
			must(os.MkdirAll(filepath.Join(directory, "of all", "own"), 0o700))
			must(os.Symlink("of all/own", filepath.Join(directory, "link")))
			must(os.Chmod(filepath.Join(directory, "of all"), 0o777))
			return "link/run/ctl"
		},
	} {
		t.Run(name, func(t *testing.T) {
			directory := privateDir(t)
			if _, err := client.Listen(filepath.Join(directory, prepare(directory))); !problem.Is(err, problem.Refused) {
				t.Error(err)
			}
		})
	}
}

// TestListenRefusesOfAnotherUser has only root give files away; for others there is the
// directory of root.
func TestListenRefusesOfAnotherUser(t *testing.T) {
	directory := "/"
	if os.Geteuid() == 0 {
		directory = privateDir(t)
		path := stale(t)
		for _, given := range []string{directory, path} {
			if err := os.Chown(given, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := client.Listen(path); !problem.Is(err, problem.Refused) {
			t.Errorf("socket: %v", err)
		}
	}
	if _, err := client.Listen(filepath.Join(directory, "ctl")); !problem.Is(err, problem.Refused) {
		t.Errorf("directory: %v", err)
	}
}
