package service_test

import (
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/agent"

	keeper "github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/agent/service"
	"github.com/cardctl/cardctl/internal/problem"
)

// listed is how many keys a program sees that is served on a pipe.
func listed(t *testing.T, serve func(io.ReadWriter) error) int {
	t.Helper()
	ours, theirs := net.Pipe()
	over := make(chan error, 1)
	go func() { over <- serve(theirs); _ = theirs.Close() }()
	keys, err := agent.NewClient(ours).List()
	if err != nil {
		t.Error(err)
	}
	_ = ours.Close()
	select {
	case <-over:
	case <-time.After(5 * time.Second):
		t.Fatal("it goes on without the program")
	}
	return len(keys)
}

// A program is passed on to the agent that runs, or served alone.
func TestPassOnAndAlone(t *testing.T) {
	r := run(t, cards(t, right))
	n := listed(t, func(program io.ReadWriter) error {
		passed, err := service.PassOn(context.Background(), filepath.Join(r.dir, service.SSH), program)
		if !passed {
			t.Error("there is an agent")
		}
		return err
	})
	if n != 1 {
		t.Errorf("%d keys through the agent", n)
	}
	if passed, err := service.PassOn(t.Context(), filepath.Join(r.dir, "nobody"), nil); passed || err != nil {
		t.Errorf("%v, %v", passed, err)
	}
	alone := cards(t, right)
	n = listed(t, func(program io.ReadWriter) error {
		return service.Alone(context.Background(), alone, service.Options{}, service.SSH, program)
	})
	if n != 1 {
		t.Errorf("%d keys alone", n)
	}
}

// A program that is served alone does not keep the process when that has to end.
func TestAloneEnds(t *testing.T) {
	ours, theirs := net.Pipe()
	defer func() { _ = ours.Close() }()
	ctx, stop := context.WithCancel(t.Context())
	over := make(chan error, 1)
	k := keeper.New(keeper.Options{Desk: noDesk(), Idle: time.Second})
	go func() { over <- service.Alone(ctx, k, service.Options{}, service.P11, onlyIO{theirs}) }()
	time.Sleep(50 * time.Millisecond)
	stop()
	select {
	case <-over:
	case <-time.After(5 * time.Second):
		t.Fatal("it does not end")
	}
}

// onlyIO is stdin and stdout, which nobody can be woken from by a close.
type onlyIO struct{ io.ReadWriter }

// What a service manager hands over is counted.
func TestInherited(t *testing.T) {
	for _, test := range []struct {
		pid, count string
		ok         bool
	}{
		{"", "", true}, {"1", "x", true}, {strconv.Itoa(os.Getpid()), "x", false}, {strconv.Itoa(os.Getpid()), "-1", false},
		{strconv.Itoa(os.Getpid()), "17", false}, {strconv.Itoa(os.Getpid()), "", false}, {strconv.Itoa(os.Getpid()), "0", true},
	} {
		environ := map[string]string{"LISTEN_PID": test.pid, "LISTEN_FDS": test.count}
		sockets, err := service.Inherited(func(name string) string { return environ[name] })
		if len(sockets) != 0 || test.ok != (err == nil) || err != nil && !problem.Is(err, problem.Usage) {
			t.Errorf("%+v: %v, %v", test, sockets, err)
		}
	}
}
