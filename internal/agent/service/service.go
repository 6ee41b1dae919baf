// Package service is the agent as a process: the sockets that programs connect to, and
// behind each of them a door to the cards of the keeper.
package service

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/agent/client"
	"github.com/cardctl/cardctl/internal/agent/p11kit"
	"github.com/cardctl/cardctl/internal/agent/scdaemon"
	"github.com/cardctl/cardctl/internal/agent/sshagent"
	"github.com/cardctl/cardctl/internal/problem"
)

// The names of the doors, which are those of their sockets.
const (
	P11     = "p11"
	SSH     = "ssh"
	SCD     = "scd"
	Control = "ctl"

	p11Kit = "p11-kit" // where p11-kit-client.so looks
)

// Options are what an agent is.
type Options struct {
	// Dir is where the sockets are made. P11Socket is one more for PKCS#11; P11Wanted says that
	// nobody else may have it.
	Dir, P11Socket string
	P11Wanted      bool
	// Inherited are sockets that somebody else made, by the names of the doors.
	Inherited map[string]net.Listener
	// NeedsLogin has tokens say that a login is needed.
	NeedsLogin bool
	// Version is that of the program, Certificates a directory with OpenSSH certificates.
	Version, Certificates string
	// Ready is told the sockets; Log what goes wrong with a program.
	Ready func(sockets map[string]string) error
	Log   func(error)
}

// Service is an agent that runs.
type Service struct {
	o      Options
	keeper *agent.Keeper
	cards  *p11kit.Cards
	ssh    *sshagent.Desk
	stop   context.CancelFunc
	over   chan struct{} // closed when the cards are released and the sockets gone

	mu                sync.Mutex
	clients, controls int
	sockets           map[string]string
}

// New is an agent over the cards of a keeper.
func New(keeper *agent.Keeper, o Options) *Service {
	return &Service{
		o: o, keeper: keeper, over: make(chan struct{}),
		cards: p11kit.NewCards(keeper, p11kit.Options{NeedsLogin: o.NeedsLogin, Version: o.Version}),
		ssh:   sshagent.NewDesk(keeper, sshagent.Options{Certificates: o.Certificates, Log: o.Log}),
	}
}

// Run serves programs until ctx ends, or somebody says stop.
func (s *Service) Run(ctx context.Context) error {
	ctx, s.stop = context.WithCancel(ctx)
	defer s.stop()
	listeners, err := s.listen()
	if err != nil {
		return err
	}
	var running sync.WaitGroup
	sockets := map[string]string{}
	for _, l := range listeners {
		sockets[l.name] = l.Addr().String()
	}
	s.mu.Lock()
	s.sockets = sockets
	s.mu.Unlock()
	for _, l := range listeners {
		running.Go(func() { s.accept(ctx, l) })
	}
	running.Go(func() {
		defer close(s.over)
		err = s.keeper.Run(ctx)
		s.stop()
		for _, l := range listeners {
			_ = l.Close()
		}
	})
	failed := s.o.Ready(sockets)
	if failed != nil {
		s.stop()
	}
	running.Wait()
	return errors.Join(failed, err)
}

// listener is a socket, and the door behind it.
type listener struct {
	net.Listener

	name, door string
}

// listen makes the sockets.
func (s *Service) listen() (all []listener, err error) {
	defer func() {
		if err != nil {
			for _, l := range all {
				_ = l.Close()
			}
		}
	}()
	for _, door := range []string{P11, SSH, SCD, Control} {
		l := s.o.Inherited[door]
		if l == nil {
			if l, err = client.Listen(filepath.Join(s.o.Dir, door)); err != nil {
				return all, err
			}
		}
		all = append(all, listener{l, door, door})
	}
	if s.o.P11Socket == "" {
		return all, nil
	}
	if l := s.o.Inherited[filepath.Base(s.o.P11Socket)]; l != nil {
		return append(all, listener{l, p11Kit, P11}), nil
	}
	l, err := client.Listen(s.o.P11Socket)
	if err != nil && !s.o.P11Wanted {
		return all, nil // somebody has it
	}
	if err != nil {
		return all, err
	}
	return append(all, listener{l, p11Kit, P11}), nil
}

// mostClients is how many programs are served at once, mostControls how many commands that
// control the agent: programs that use cards leave room for these.
const (
	mostClients  = 1000
	mostControls = 50
)

func (s *Service) accept(ctx context.Context, l listener) {
	var serving sync.WaitGroup
	defer serving.Wait()
	for {
		conn, err := l.Accept()
		if ctx.Err() != nil {
			return
		}
		if err != nil { // such as too many open files
			s.log(err)
			time.Sleep(100 * time.Millisecond)
			continue
		}
		count, most := &s.clients, mostClients
		if l.door == Control {
			count, most = &s.controls, mostControls
		}
		if !s.enter(count, most) {
			_ = conn.Close()
			continue
		}
		serving.Go(func() {
			defer s.leave(count)
			s.serve(ctx, l.door, conn)
		})
	}
}

func (s *Service) enter(count *int, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if *count >= most {
		return false
	}
	*count++
	return true
}

func (s *Service) leave(count *int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	*count--
}

// serve serves a program of this user, and nobody else's.
func (s *Service) serve(ctx context.Context, door string, conn net.Conn) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	defer context.AfterFunc(ctx, func() {
		if door == Control { // who stops the agent is told by the end of the connection
			<-s.over
		}
		_ = conn.Close()
	})()
	defer func() { _ = conn.Close() }()
	by := agent.Client{Door: door}
	if unix, ok := conn.(*net.UnixConn); ok {
		uid, pid, name, err := client.Peer(unix)
		if err == nil && uid != os.Getuid() {
			err = problem.New(problem.Refused, "a program of another user, %d, wanted the cards", uid)
		}
		if err != nil {
			s.log(err)
			return
		}
		by.Name, by.PID = name, pid
	}
	if err := s.Door(ctx, door, conn, by); err != nil && ctx.Err() == nil && !errors.Is(err, io.EOF) {
		s.log(err)
	}
}

// Door serves one program through a door.
func (s *Service) Door(ctx context.Context, door string, conn io.ReadWriter, by agent.Client) error {
	switch door {
	case P11:
		return p11kit.Serve(ctx, conn, s.cards, by)
	case SSH:
		return sshagent.Serve(ctx, conn, s.ssh, by)
	case SCD:
		return scdaemon.Serve(ctx, conn, s.keeper, by, scdaemon.Options{Version: gnupgVersion, Socket: s.socketOf(SCD), Signal: send})
	case Control:
		return s.control(ctx, conn)
	}
	return problem.New(problem.Usage, "the agent has no door %s", door)
}

// socketOf is where further clients of a door connect; empty for nowhere.
func (s *Service) socketOf(door string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sockets[door]
}

func (s *Service) log(err error) {
	if s.o.Log != nil {
		s.o.Log(err)
	}
}

// gnupgVersion is what the agent says to GnuPG, which warns of a scdaemon older than itself.
const gnupgVersion = "2.5.99"
