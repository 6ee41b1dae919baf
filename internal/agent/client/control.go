// Package client is between the command line and a running agent: the control socket,
// whose protocol is a JSON document on a line for a request and one for its answer; who is
// at the other end of a socket; and the sockets themselves, which are their user's only.
package client

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
)

// What an agent can be asked to do.
const (
	// Ask for its cards and clients.
	StatusOf = "status"
	// Drop the PINs.
	Lock = "lock"
	// Let other programs use the cards, or the card in Reader.
	Release = "release"
	// Read the card in Reader again, which was used and is free now.
	Reread = "reread"
	// End. The answer is followed by the end of the connection once the cards are released.
	Stop = "stop"
)

const (
	maxRequest = 4 << 10
	maxAnswer  = 1 << 20
	// patience is how long the other side may take to send a request, or to read an answer, and
	// how long a request may take.
	patience = 30 * time.Second
)

// ErrStop is how ServeControl ends after it told a client that the agent stops.
var ErrStop = errors.New("a client stopped the agent")

// Request is what the agent is asked to do.
type Request struct {
	Do     string `json:"do"`
	Reader string `json:"reader,omitempty"`
}

// Answer is that to one request. Code and Error are of one that failed.
type Answer struct {
	OK     bool         `json:"ok,omitempty"`
	Status *Status      `json:"status,omitempty"`
	Code   problem.Code `json:"code,omitempty"`
	Error  string       `json:"error,omitempty"`
}

// Status is what an agent does now.
type Status struct {
	Cards   []Card `json:"cards"`
	Clients int    `json:"clients"`
}

// Card is a card in the hands of the agent.
type Card struct {
	Serial     string `json:"serial"`
	Reader     string `json:"reader"`
	Held       bool   `json:"held"`
	APDUs      uint64 `json:"apdus"`
	Operations uint64 `json:"operations"`
	PINCached  bool   `json:"pinCached"`
}

// Handler does what one request asks; the status is nil but for StatusOf.
type Handler func(context.Context, Request) (*Status, error)

// Ask sends a request to the agent that listens on a socket. A request that the agent
// refused is an error; so is that there is no agent (problem.NotFound).
func Ask(ctx context.Context, socketPath string, request Request) (Answer, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", socketPath)
	if err != nil {
		if ctx.Err() != nil {
			return Answer{}, ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) {
			return Answer{}, problem.Wrap(problem.NotFound, err, "no agent is running").Because("Nothing listens on %s.", socketPath)
		}
		return Answer{}, problem.Wrap(problem.Failed, err, "ask the agent")
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	answer, err := exchange(conn, request)
	switch {
	case ctx.Err() != nil:
		return Answer{}, ctx.Err()
	case err != nil:
		return Answer{}, problem.Wrap(problem.Failed, err, "ask the agent")
	case answer.Error != "":
		return Answer{}, &problem.Error{Code: cmp.Or(answer.Code, problem.Failed), What: answer.Error}
	}
	if request.Do == Stop {
		return answer, hungUp(ctx, conn)
	}
	return answer, nil
}

// hungUp waits until the agent that stops has released its cards and hangs up.
func hungUp(ctx context.Context, conn net.Conn) error {
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return problem.Wrap(problem.Failed, err, "stop the agent")
	}
	_, err := conn.Read(make([]byte, 1))
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return problem.New(problem.Failed, "the agent stops, but has not released its cards yet")
	}
	return nil
}

// exchange writes a request and reads its answer.
func exchange(conn io.ReadWriter, request Request) (answer Answer, err error) {
	if err := json.NewEncoder(conn).Encode(request); err != nil {
		return Answer{}, err
	}
	line, err := bufio.NewReader(io.LimitReader(conn, maxAnswer)).ReadBytes('\n')
	if err != nil {
		return Answer{}, err
	}
	if err := json.Unmarshal(line, &answer); err != nil {
		return Answer{}, err
	}
	if !answer.OK && answer.Error == "" {
		return Answer{}, errors.New("the answer is neither yes nor no")
	}
	return answer, nil
}

// ServeControl answers one client until it hangs up, asks the agent to stop (ErrStop), or
// ctx ends, which is when the caller closes conn.
func ServeControl(ctx context.Context, conn io.ReadWriter, h Handler) error {
	requests := bufio.NewReaderSize(conn, maxRequest)
	deadlines, _ := conn.(interface {
		SetReadDeadline(time.Time) error
		SetWriteDeadline(time.Time) error
	})
	for {
		if deadlines != nil {
			if err := deadlines.SetReadDeadline(time.Now().Add(patience)); err != nil {
				return ended(ctx, err)
			}
		}
		line, err := requests.ReadSlice('\n')
		if errors.Is(err, io.EOF) && len(line) == 0 {
			return ctx.Err()
		}
		if err != nil {
			return ended(ctx, err)
		}
		request, answer := answered(ctx, h, line)
		if deadlines != nil {
			if err := deadlines.SetWriteDeadline(time.Now().Add(patience)); err != nil {
				return ended(ctx, err)
			}
		}
		if err := json.NewEncoder(conn).Encode(answer); err != nil {
			return ended(ctx, err)
		}
		if request.Do == Stop && answer.OK {
			return ErrStop
		}
	}
}

// ended is the error of a connection: the end of ctx where that is the reason.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("control socket: %w", err)
}

// answered reads a request and does it.
func answered(ctx context.Context, h Handler, line []byte) (request Request, answer Answer) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if err := json.Unmarshal(line, &request); err != nil {
		return Request{}, refused(problem.New(problem.Usage, "the request is not a JSON document"))
	}
	if !slices.Contains([]string{StatusOf, Lock, Release, Reread, Stop}, request.Do) {
		return request, refused(problem.New(problem.Usage, "unknown request %q", request.Do))
	}
	status, err := h(ctx, request)
	if err != nil {
		return request, refused(err)
	}
	return request, Answer{OK: true, Status: status}
}

// refused is the answer that tells an error.
func refused(err error) Answer {
	answer := Answer{Code: problem.Failed, Error: err.Error()}
	var known *problem.Error
	if errors.As(err, &known) {
		answer.Code = known.Code
	}
	return answer
}
