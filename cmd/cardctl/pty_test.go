//go:build unix

package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// seat is a person at a terminal, with stdout elsewhere.
type seat struct {
	t        *testing.T
	terminal *os.File
	cmd      *exec.Cmd
	stdout   bytes.Buffer
	watched  chan struct{} // closed when nothing more can come to the terminal

	mu   sync.Mutex
	seen strings.Builder
}

// sit starts the real main on a terminal of its own that can do nothing but
// lines. Standard input and output are none, so that only the terminal can ask.
func sit(t *testing.T, state string, args ...string) *seat {
	t.Helper()
	return sitAt(t, []string{"TERM=dumb"}, state, args...)
}

// sitAt is sit at a terminal of another kind, which variables tell of.
func sitAt(t *testing.T, terminal []string, state string, args ...string) *seat {
	t.Helper()
	s := &seat{t: t, cmd: exec.Command("cardctl", args...), watched: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), "CARDCTL_STATE_DIR="+state, "CARDCTL_READER=sim:desk",
		"CARDCTL_PIN=", "CARDCTL_ADMIN_PIN=", "CARDCTL_NEW_PIN=", "PCSCLITE_CSOCK_NAME=/nonexistent",
		"DESK_PIN="+userPIN, "DESK_ADMIN_PIN="+adminPIN)
	s.cmd.Env = append(s.cmd.Env, terminal...)
	s.cmd.Stdin, s.cmd.Stdout = strings.NewReader(""), &s.stdout
	person, tty, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	s.terminal = person
	s.cmd.Stderr = tty
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 2} // stderr
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = tty.Close()
	go s.watch()
	t.Cleanup(func() { _ = person.Close() })
	return s
}

func (s *seat) watch() {
	defer close(s.watched)
	buffer := make([]byte, 1024)
	for {
		n, err := s.terminal.Read(buffer)
		s.mu.Lock()
		s.seen.Write(buffer[:n])
		s.mu.Unlock()
		if err != nil {
			return
		}
	}
}

func (s *seat) screen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.String()
}

// answer waits for a prompt and types what is said to it.
func (s *seat) answer(prompt, typed string) {
	s.t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(s.screen(), prompt) {
		if time.Now().After(deadline) {
			s.t.Fatalf("no %q on the terminal:\n%s", prompt, s.screen())
		}
		time.Sleep(5 * time.Millisecond)
	}
	s.mu.Lock()
	rest := s.seen.String()
	_, rest, _ = strings.Cut(rest, prompt)
	s.seen.Reset()
	s.seen.WriteString(rest)
	s.mu.Unlock()
	if _, err := io.WriteString(s.terminal, typed); err != nil {
		s.t.Fatal(err)
	}
}

// leaves waits for the end and wants this exit status.
func (s *seat) leaves(status int) {
	s.t.Helper()
	_ = s.cmd.Wait()
	<-s.watched
	if got := s.cmd.ProcessState.ExitCode(); got != status {
		s.t.Fatalf("exit status %d, want %d:\n%s\n%s", got, status, s.screen(), s.stdout.String())
	}
}

func TestPrompts(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	run := func(args ...string) {
		t.Helper()
		s := sit(t, state, args...)
		s.leaves(0)
	}
	run("sim", "create", "desk")

	// No is what Enter alone says.
	s := sit(t, state, "init")
	s.answer("[y/N]", "\r")
	s.leaves(9)

	// New PINs are asked for twice, and once more where they differ.
	s = sit(t, state, "init")
	s.answer("[y/N]", "y\r")
	s.answer("new user PIN", userPIN+"\r")
	s.answer("Repeat", "426710\r")
	s.answer("differ", "")
	s.answer("new user PIN", userPIN+"\r")
	s.answer("Repeat", userPIN+"\r")
	s.answer("new admin PIN", adminPIN+"\r")
	s.answer("Repeat", adminPIN+"\r")
	s.leaves(0)
	if strings.Contains(s.screen(), userPIN) || strings.Contains(s.screen(), adminPIN) {
		t.Error("a PIN was echoed")
	}

	// A PIN is asked for on the terminal while stdout is a pipe.
	s = sit(t, state, "gen-key", "--key", "OPENPGP.3")
	s.answer("3 tries left", adminPIN+"\r")
	s.leaves(0)
	s = sit(t, state, "gen-csr", "--key", "OPENPGP.3", "--subject", "CN=me")
	s.answer("user PIN of OpenPGP card", userPIN+"\r")
	s.leaves(0)
	if !strings.HasPrefix(s.stdout.String(), "-----BEGIN CERTIFICATE REQUEST-----") {
		t.Errorf("stdout is %q", s.stdout.String())
	}

	// Ctrl-C at a prompt is an interruption, and takes no try.
	s = sit(t, state, "gen-csr", "--key", "OPENPGP.3", "--subject", "CN=me")
	s.answer("3 tries left", "12\x03")
	s.leaves(130)
	s = sit(t, state, "gen-csr", "--key", "OPENPGP.3", "--subject", "CN=me", "--timeout", "300ms")
	s.answer("3 tries left", "")
	s.leaves(1)

	s = sit(t, state, "sim", "delete", "desk")
	s.answer("[y/N]", "\x03")
	s.leaves(130)
	if !strings.Contains(s.screen(), "Try: cardctl sim list") {
		t.Errorf("an interruption offers:\n%s", s.screen())
	}

	// --no-input asks nothing.
	s = sit(t, state, "gen-csr", "--key", "OPENPGP.3", "--subject", "CN=me", "--no-input")
	s.leaves(2)
}

// TestMovingTerminal is what somebody sees whose terminal can move the cursor:
// choices, a spinner while the card works, colour; and none of it where that is
// not wanted or the terminal cannot.
func TestMovingTerminal(t *testing.T) {
	t.Parallel()
	moving := []string{"TERM=xterm"}
	state := t.TempDir()
	sit(t, state, "sim", "create", "desk", "--latency", "120ms").leaves(0)
	pins := []string{"--pin", "env:DESK_PIN", "--admin-pin", "env:DESK_ADMIN_PIN"}

	s := sitAt(t, moving, state, append([]string{"init"}, pins...)...)
	s.answer("[y/N]", "\r")
	s.leaves(9)
	if !strings.Contains(s.screen(), "\x1b[31;1m") {
		t.Errorf("the error has no colour: %q", s.screen())
	}
	s = sitAt(t, moving, state, append([]string{"init"}, pins...)...)
	s.answer("init 0s", "")
	s.answer("[y/N]", "\x1b[B\r")
	s.leaves(0)

	s = sitAt(t, moving, state, "gen-key", "--admin-pin", "env:DESK_ADMIN_PIN")
	s.answer("OPENPGP.3  authentication, empty", "\x1b[B\x1b[B\r")
	s.answer("generating the key on the card", "")
	s.leaves(0)
	if !strings.Contains(s.stdout.String(), "Generated the key OPENPGP.3") || strings.Contains(s.stdout.String(), "\x1b") {
		t.Errorf("stdout is %q", s.stdout.String())
	}

	for _, terminal := range [][]string{{"TERM=dumb"}, {"TERM=xterm", "NO_COLOR=1"}} {
		s = sitAt(t, terminal, state, "gen-csr", "--subject", "CN=me", "--pin", "env:DESK_PIN")
		s.answer("Which key? [1-3]:", "3\r")
		s.leaves(0)
		if strings.Contains(s.screen(), "\x1b") {
			t.Errorf("escape sequences on a terminal that is not to have them: %q", s.screen())
		}
	}
}

// TestSignals end a command that is at work: with 130, and a card that is let
// go.
func TestSignals(t *testing.T) {
	t.Parallel()
	state := t.TempDir()
	for _, args := range [][]string{{"sim", "create", "desk", "--latency", "40ms"}, {"info"}} {
		sit(t, state, args...).leaves(0)
	}
	for name, signal := range map[string]os.Signal{"interrupt": os.Interrupt, "terminated": syscall.SIGTERM, "hung up": syscall.SIGHUP} {
		t.Run(name, func(t *testing.T) {
			s := sit(t, state, "info", "--verbose")
			s.answer("using the card", "")
			if err := s.cmd.Process.Signal(signal); err != nil {
				t.Fatal(err)
			}
			s.leaves(130)
			sit(t, state, "info").leaves(0)
		})
	}
}
