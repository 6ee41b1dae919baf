package service

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/agent/client"
	"github.com/cardctl/cardctl/internal/problem"
)

// Doors are the sockets of an agent, but the one that it is controlled by.
func Doors() []string { return []string{P11, SSH, SCD, p11Kit} }

// PassOn connects a program to the agent at a socket. It reports whether one was there.
func PassOn(ctx context.Context, socket string, program io.ReadWriter) (bool, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", socket)
	if err != nil {
		return false, nil
	}
	defer func() { _ = conn.Close() }()
	defer passSignals()()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	over := make(chan error, 2)
	go func() {
		_, err := io.Copy(conn, program)
		if unix, ok := conn.(*net.UnixConn); ok {
			err = errors.Join(err, unix.CloseWrite())
		}
		if err != nil {
			over <- err
		}
	}()
	go func() {
		_, err := io.Copy(program, conn)
		over <- err
	}()
	return true, <-over
}

// Alone serves the program that started this process, without an agent beside it. GnuPG
// connects more often, at a socket in a directory of its own.
func Alone(ctx context.Context, keeper *agent.Keeper, o Options, door string, program io.ReadWriter) error {
	dir, err := os.MkdirTemp("", "cardctl-agent-")
	if err != nil {
		return problem.Wrap(problem.Failed, err, "cannot make a socket")
	}
	defer func() { _ = os.RemoveAll(dir) }()
	further, err := client.Listen(filepath.Join(dir, door))
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	s := New(keeper, o)
	s.sockets = map[string]string{door: further.Addr().String()}
	var running sync.WaitGroup
	var kept error
	running.Go(func() { kept = keeper.Run(ctx) })
	running.Go(func() { s.accept(ctx, listener{further, door, door}) })
	running.Go(func() {
		<-ctx.Done()
		_ = further.Close()
	})
	err = s.Door(ctx, door, program, agent.Client{Door: door, Name: client.NameOf(os.Getppid()), PID: os.Getppid()})
	stop()
	running.Wait()
	return errors.Join(err, kept)
}
