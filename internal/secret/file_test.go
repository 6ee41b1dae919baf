//go:build unix

package secret

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
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
		{"and not a second", "123456\n\n", 0o600, ""},
		{"of DOS", "123456\r\n", 0o600, "123456"},
		{"spaces inside stay", "123 456\n", 0o600, "123 456"},
		{"spaces around", " 123456 \n", 0o600, ""},
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
	inherited := InheritedDescriptors()
	if !slices.Contains(inherited, fd) {
		t.Fatalf("%d is not among %v", fd, inherited)
	}
	source := Source{kind: kindFD, fd: fd}
	r := &Resolver{Sources: map[Name]Source{PIN: source, NewPIN: source}, Descriptors: inherited}
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
	if again := InheritedDescriptors(); len(again) > 0 {
		t.Errorf("%v would be handed on to child processes", again)
	}
}

// What was not handed down is not read, though it is open: Go's runtime has files
// of its own. Their other names are not read either.
func TestFDThatWasNotHandedDown(t *testing.T) {
	path := filepath.Join(t.TempDir(), "own")
	if err := os.WriteFile(path, []byte("100000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	own, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = own.Close() }()
	fd := int(own.Fd())
	inherited := InheritedDescriptors()
	for _, source := range []string{
		fmt.Sprintf("fd:%d", fd), "fd:1", "fd:2", "fd:999",
		fmt.Sprintf("file:/dev/fd/%d", fd), fmt.Sprintf("file:/proc/self/fd/%d", fd), fmt.Sprintf("file:/proc/%d/fd/%d", os.Getpid(), fd),
	} {
		r := &Resolver{Sources: sources(t, "pin", source), Descriptors: inherited}
		if s, err := r.Ask(t.Context(), Request{Name: PIN}); !problem.Is(err, problem.Usage) || s != nil {
			t.Errorf("%s: %q, %v", source, s.Reveal(), err)
		}
	}
}
