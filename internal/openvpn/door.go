package openvpn

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
)

// door is where OpenVPN comes to with its management interface: OpenVPN connects, so that
// nobody else can be in its place, and ends when the connection does.
type door struct {
	listener net.Listener
	dir      string   // with what is only needed for it
	args     []string // of OpenVPN
	password string   // that OpenVPN wants to be told, if any
}

// failed is an error, after what there is already was taken away.
func (d *door) failed(err error) error {
	return problem.Wrap(problem.Failed, errors.Join(err, d.close()), "OpenVPN's management interface could not be set up")
}

func (d *door) close() error {
	var err error
	if d.listener != nil {
		err = d.listener.Close()
	}
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	return errors.Join(err, os.RemoveAll(d.dir))
}

// accept waits for the child with this number; others that connect are sent away.
func (d *door) accept(pid int) (net.Conn, error) {
	for {
		conn, err := d.listener.Accept()
		if err != nil {
			return nil, err
		}
		if is, err := isChild(conn, pid); !is || err != nil {
			_ = conn.Close()
			if err != nil {
				return nil, err
			}
			continue
		}
		if err := d.tellPassword(conn); err != nil {
			_ = conn.Close()
			return nil, err
		}
		return conn, nil
	}
}

// tellPassword answers the prompt that OpenVPN begins with where there is a password. It
// is not a line.
func (d *door) tellPassword(conn net.Conn) error {
	const prompt, patience = "ENTER PASSWORD:", 10 * time.Second
	if d.password == "" {
		return nil
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	got := make([]byte, len(prompt))
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != prompt {
		return garbled(strings.ToValidUTF8(string(got), "?"))
	}
	if _, err := io.WriteString(conn, d.password+"\n"); err != nil {
		return err
	}
	return conn.SetDeadline(time.Time{})
}

// opened is accept in the background; what comes after ctx ended is closed.
func (d *door) opened(ctx context.Context, pid int) <-chan result {
	done := make(chan result, 1)
	go func() {
		conn, err := d.accept(pid)
		if err == nil && ctx.Err() != nil {
			_ = conn.Close()
		}
		done <- result{conn, err}
	}()
	return done
}

type result struct {
	conn net.Conn
	err  error
}
