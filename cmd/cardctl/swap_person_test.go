//go:build unix

package main

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/creack/pty"
)

// person sits at a terminal, says yes to every question, and types secrets in
// their order, each once more where it is to be repeated.
type person struct {
	t        *testing.T
	hand     *os.File
	terminal *os.File
	secrets  []string
	asked    func()
	left     sync.WaitGroup
}

func newPerson(t *testing.T, secrets []string, asked func()) *person {
	t.Helper()
	hand, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	p := &person{t: t, hand: hand, terminal: terminal, secrets: secrets, asked: asked}
	p.left.Add(1)
	go p.sit()
	return p
}

// open gives the command descriptors of its own, which it closes.
func (p *person) open() (in, out *os.File, err error) {
	syscall.ForkLock.RLock() // no child gets it
	defer syscall.ForkLock.RUnlock()
	fd, err := syscall.Dup(int(p.terminal.Fd()))
	if err != nil {
		return nil, nil, err
	}
	syscall.CloseOnExec(fd)
	tty := os.NewFile(uintptr(fd), "terminal")
	return tty, tty, nil
}

func (p *person) sit() {
	defer p.left.Done()
	seen, buffer, last := "", make([]byte, 4096), ""
	for {
		n, err := p.hand.Read(buffer)
		if err != nil {
			return
		}
		seen += string(buffer[:n])
		if strings.Contains(seen, leave) { // an echo of what was typed can follow
			return
		}
		if !strings.HasSuffix(seen, ": ") {
			continue
		}
		typed := "y"
		switch {
		case strings.HasSuffix(seen, "[y/N]: "):
		case strings.Contains(seen, "Which key? ["):
			typed = "1"
		case strings.Contains(seen, "Repeat "):
			typed = last
		case len(p.secrets) == 0:
			p.t.Errorf("nobody knows what to type: %q", seen)
			typed = "\x03"
		default:
			typed, p.secrets = p.secrets[0], p.secrets[1:]
			last = typed
		}
		seen = ""
		p.asked()
		_, _ = p.hand.WriteString(typed + "\r")
	}
}

// leave on the terminal has nobody sit there any more.
const leave = "\x00"

func (p *person) end() {
	_, _ = p.terminal.WriteString(leave)
	p.left.Wait()
	_ = p.terminal.Close()
	_ = p.hand.Close()
}

// secretSource is what programs get secrets from, in their order.
type secretSource struct {
	t      *testing.T
	dir    string // of two named pipes
	values []string
	asked  func()
	left   sync.WaitGroup
}

// secretPipes names the directory to the pinentry of the tests.
const secretPipes = "SECRET_PIPES"

// pinentry is the program of this name in the tests, as far as cardctl talks to it;
// what it is typed comes from a secretSource.
func pinentry() {
	fmt.Println("OK")
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); fmt.Println("OK") {
		if lines.Text() != "GETPIN" {
			continue
		}
		s := &secretSource{dir: os.Getenv(secretPipes)}
		if err := os.WriteFile(s.question(), []byte("ask\n"), 0o600); err != nil {
			os.Exit(1)
		}
		typed, err := os.ReadFile(s.answer())
		if err != nil {
			os.Exit(1)
		}
		fmt.Printf("D %s", typed)
	}
}

func newSecretSource(t *testing.T, asked func()) *secretSource {
	t.Helper()
	dir, err := os.MkdirTemp("", "secrets")
	if err != nil {
		t.Fatal(err)
	}
	s := &secretSource{t: t, dir: dir, asked: asked}
	for _, pipe := range []string{s.question(), s.answer()} {
		if err := syscall.Mkfifo(pipe, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.left.Add(1)
	go s.serve()
	return s
}

func (s *secretSource) question() string { return filepath.Join(s.dir, "question") }
func (s *secretSource) answer() string   { return filepath.Join(s.dir, "answer") }

// ask is what a shell does that wants a secret.
func (s *secretSource) ask() string {
	return fmt.Sprintf("echo ask > %s; cat %s", s.question(), s.answer())
}

func (s *secretSource) serve() {
	defer s.left.Done()
	for {
		asked, err := os.ReadFile(s.question())
		if err != nil || len(asked) == 0 {
			return
		}
		s.asked()
		value := ""
		if len(s.values) > 0 {
			value, s.values = s.values[0], s.values[1:]
		}
		if err := os.WriteFile(s.answer(), []byte(value+"\n"), 0o600); err != nil {
			s.t.Error(err)
			return
		}
	}
}

func (s *secretSource) end() {
	if pipe, err := os.OpenFile(s.question(), os.O_RDWR, 0); err == nil { // nobody asks any more
		defer s.left.Wait()
		defer func() { _ = pipe.Close() }()
	}
	defer func() { _ = os.RemoveAll(s.dir) }()
}
