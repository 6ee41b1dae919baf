//go:build linux

package service_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/agent/client"
	"github.com/cardctl/cardctl/internal/agent/service"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/test/stack"
)

// nobody is another user than the one who runs the tests.
const nobody = 65534

// everyDoor is an agent with all its sockets, some of them made by a service manager, in a
// directory that every user can enter. What it logs is in log.
type everyDoor struct {
	dir     string
	sockets []string

	mu  sync.Mutex
	log []error
}

func runEveryDoor(t *testing.T) *everyDoor {
	t.Helper()
	r := &everyDoor{dir: stack.Shared(t, "doors-")}
	inherited, err := net.Listen("unix", filepath.Join(r.dir, service.SCD))
	if err != nil {
		t.Fatal(err)
	}
	ready, over := make(chan map[string]string, 1), make(chan error, 1)
	s := service.New(cards(t, right), service.Options{
		Dir: r.dir, P11Socket: filepath.Join(r.dir, "p11-kit"), P11Wanted: true, Inherited: map[string]net.Listener{service.SCD: inherited},
		Ready: func(sockets map[string]string) error { ready <- sockets; return nil },
		Log: func(err error) {
			r.mu.Lock()
			defer r.mu.Unlock()
			r.log = append(r.log, err)
		},
	})
	go func() { over <- s.Run(t.Context()) }()
	for _, socket := range <-ready {
		r.sockets = append(r.sockets, socket)
	}
	t.Cleanup(func() { // t.Context has ended
		if err := <-over; err != nil {
			t.Error(err)
		}
	})
	if len(r.sockets) != len(greetings) {
		t.Fatalf("sockets: %v", r.sockets)
	}
	return r
}

// refusals is how often it logged that a program of another user was refused.
func (r *everyDoor) refusals() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, err := range r.log {
		if problem.Is(err, problem.Refused) && strings.Contains(err.Error(), fmt.Sprint(nobody)) {
			n++
		}
	}
	return n
}

// Programs of another user are refused at every socket: by the mode of the socket, and
// where that lets them in by the agent. Only root can be another user.
func TestAnotherUser(t *testing.T) {
	r := runEveryDoor(t)
	for _, socket := range r.sockets {
		if got := knock(socket); got != "an answer" {
			t.Errorf("%s, of the same user: %s", socket, got)
		}
	}
	if os.Geteuid() != 0 {
		return
	}
	others := func(want string) {
		t.Helper()
		for i, got := range asNobody(t, knocksAt+"="+strings.Join(r.sockets, ":")) {
			if got != want && !(want == "no connection" && filepath.Base(r.sockets[i]) == service.SCD) { // whose mode is not the agent's
				t.Errorf("%s, of another user: %s, want %s", r.sockets[i], got, want)
			}
		}
	}
	others("no connection")
	if err := os.Chmod(filepath.Join(r.dir, service.SCD), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, socket := range r.sockets {
		if err := os.Chmod(socket, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	before := r.refusals()
	others("no answer")
	if n := r.refusals() - before; n != len(r.sockets) {
		t.Errorf("%d refusals are logged for %d sockets", n, len(r.sockets))
	}
	for _, socket := range r.sockets {
		if got := knock(socket); got != "an answer" {
			t.Errorf("%s, of the same user afterwards: %s", socket, got)
		}
	}
}

// asNobody runs this program as another user, and returns the lines that it prints.
func asNobody(t *testing.T, variable string) []string {
	t.Helper()
	cmd := ofNobody(t, variable)
	var said bytes.Buffer // which can be of a program that counts statements
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, said.String())
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// ofNobody is this program as another user, who can reach a copy of it.
func ofNobody(t *testing.T, variable string) *exec.Cmd {
	t.Helper()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(own)
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(stack.Shared(t, "nobody-"), "program")
	if err := os.WriteFile(copied, program, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(copied)
	cmd.Dir, cmd.Env = "/", []string{variable}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	return cmd
}

// Root is another user too, who can connect to everything.
func TestRootIsAnotherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		return // only root has a user to run an agent for
	}
	dir := stack.Shared(t, "doors-")
	if err := os.Chown(dir, nobody, nobody); err != nil {
		t.Fatal(err)
	}
	cmd := ofNobody(t, agentDir+"="+dir)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // it may have ended
		_ = cmd.Wait()         // by that signal
	})
	for _, door := range []string{service.P11, service.SSH, service.SCD, service.Control} {
		socket := filepath.Join(dir, door)
		for end := time.Now().Add(10 * time.Second); knock(socket) == "no connection"; time.Sleep(10 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("the agent does not start: %s", said.String())
			}
		}
		if got := knock(socket); got != "no answer" {
			t.Errorf("%s: %s", door, got)
		}
	}
	if _, err := client.Ask(t.Context(), filepath.Join(dir, service.Control), client.Request{Do: client.Stop}); err == nil {
		t.Error("root stops the agent")
	}
}
