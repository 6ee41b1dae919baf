//go:build unix

package secret

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

func TestFile(t *testing.T) {
	most := strings.Repeat("x", MaxLength)
	tests := []struct {
		name, content string
		mode          os.FileMode
		want          string // "" for a problem
	}{
		{"as it is", "123456", 0o600, "123456"},
		{"one newline is stripped", "123456\n", 0o400, "123456"},
		{"and not a second", "123456\n\n", 0o600, "123456\n"},
		{"of DOS", "123456\r\n", 0o600, "123456"},
		{"spaces stay", " 123 456 \n", 0o600, " 123 456 "},
		{"longest", most + "\r\n", 0o600, most},
		{"too long", most + "x", 0o600, ""},
		{"far too long", most + most, 0o600, ""},
		{"empty", "", 0o600, ""},
		{"only a newline", "\n", 0o600, ""},
		{"group may read", "123456", 0o640, ""},
		{"others may read", "123456", 0o604, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "pin")
			if err := os.WriteFile(path, []byte(test.content), test.mode); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, test.mode); err != nil {
				t.Fatal(err)
			}
			r := &Resolver{Sources: sources(t, "pin", "file:"+path)}
			s, err := r.Ask(t.Context(), Request{Name: PIN})
			if string(s.Reveal()) != test.want || (err == nil) != (test.want != "") {
				t.Errorf("%q, %v", s.Reveal(), err)
			}
			if err != nil && (!problem.Is(err, problem.Usage) || strings.Contains(err.Error(), "123456")) {
				t.Error(err)
			}
		})
	}
}

func TestFileThatIsNone(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, filepath.Join(dir, "absent"), "/dev/zero"} {
		r := &Resolver{Sources: sources(t, "pin", "file:"+path)}
		if _, err := r.Ask(t.Context(), Request{Name: PIN}); !problem.Is(err, problem.Usage) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// A shell's <(command) is a pipe.
func TestFilePipe(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := os.WriteFile(path, []byte("123456\n"), 0o600); err != nil {
			t.Error(err)
		}
	}()
	r := &Resolver{Sources: sources(t, "pin", "file:"+path)}
	s, err := r.Ask(t.Context(), Request{Name: PIN})
	if err != nil || string(s.Reveal()) != "123456" {
		t.Errorf("%q, %v", s.Reveal(), err)
	}
}

func TestFD(t *testing.T) {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := write.WriteString("111\n222\n"); err != nil {
		t.Fatal(err)
	}
	if err := write.Close(); err != nil {
		t.Fatal(err)
	}
	// A number of its own, as a shell hands it down.
	fd, err := syscall.Dup(int(read.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if err := read.Close(); err != nil {
		t.Fatal(err)
	}
	source := Source{kind: kindFD, fd: fd}
	r := &Resolver{Sources: map[Name]Source{PIN: source, NewPIN: source}}
	for _, test := range []struct {
		name Name
		want string
	}{{PIN, "111"}, {NewPIN, "222"}} {
		s, err := r.Ask(t.Context(), Request{Name: test.name})
		if err != nil || string(s.Reveal()) != test.want {
			t.Errorf("%s: %q, %v", test.name, s.Reveal(), err)
		}
	}
	flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
	if errno != 0 || flags&syscall.FD_CLOEXEC == 0 {
		t.Errorf("child processes inherit the descriptor: %v, %v", flags, errno)
	}
}

func TestFDClosed(t *testing.T) {
	r := &Resolver{Sources: sources(t, "pin", "fd:999")}
	if _, err := r.Ask(t.Context(), Request{Name: PIN}); !problem.Is(err, problem.Usage) {
		t.Error(err)
	}
}
