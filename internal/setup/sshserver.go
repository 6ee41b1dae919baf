package setup

import (
	"bytes"
	"crypto"
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"net"
	"strconv"
	"sync"
	"sync/atomic"

	"golang.org/x/crypto/ssh"
)

// sshServer lets one key log in on loopback, and does nothing then.
type sshServer struct {
	listener net.Listener
	port     string
	config   *ssh.ServerConfig
	accepted atomic.Bool
	work     sync.WaitGroup
}

func newSSHServer(public crypto.PublicKey) (*sshServer, error) {
	own, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, err
	}
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	host, err := ssh.NewSignerFromKey(private)
	if err != nil {
		return nil, err
	}
	s := &sshServer{config: &ssh.ServerConfig{
		PublicKeyCallback: func(_ ssh.ConnMetadata, offered ssh.PublicKey) (*ssh.Permissions, error) {
			if !bytes.Equal(offered.Marshal(), own.Marshal()) {
				return nil, errors.New("another key")
			}
			return &ssh.Permissions{}, nil
		},
	}}
	s.config.AddHostKey(host)
	if s.listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		return nil, err
	}
	s.port = strconv.Itoa(s.listener.Addr().(*net.TCPAddr).Port)
	s.work.Go(s.serve)
	return s, nil
}

func (s *sshServer) loggedIn() bool { return s.accepted.Load() }

func (s *sshServer) close() {
	_ = s.listener.Close()
	s.work.Wait()
}

// serve serves one client after the other.
func (s *sshServer) serve() {
	for {
		client, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.session(client)
	}
}

// session lets a client run one command, which ends well at once.
func (s *sshServer) session(client net.Conn) {
	defer client.Close()
	conn, channels, requests, err := ssh.NewServerConn(client, s.config)
	if err != nil {
		return
	}
	defer conn.Close()
	s.accepted.Store(true)
	go ssh.DiscardRequests(requests)
	for open := range channels {
		channel, requests, err := open.Accept()
		if err != nil {
			return
		}
		for r := range requests {
			_ = r.Reply(r.Type == "exec", nil)
			if r.Type == "exec" {
				_, _ = channel.SendRequest("exit-status", false, ssh.Marshal(struct{ Status uint32 }{}))
				_ = channel.Close()
			}
		}
	}
}
