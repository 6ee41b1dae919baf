// Package p11kit is the server side of p11-kit's remote procedure calls, version 0: programs
// that load p11-kit-client.so use the agent's tokens by PKCS #11 2.40. Tokens are read-only.
// What needs no secret (finding, hashing, verifying, encrypting) is done here; PINs and cards
// are left to agent.Token. The protocol has no document: p11-kit/rpc-message.h lists its calls.
package p11kit

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"syscall"

	"github.com/cardctl/cardctl/internal/agent"
	"github.com/cardctl/cardctl/internal/problem"
)

// version is that of the protocol: the server's answer is what both speak.
const version = 0

// Limits of a frame in bytes, and of frames that wait until those before are answered.
const (
	maxBody    = 1 << 20
	maxOptions = 1 << 16
	maxPending = 8
)

// frame is a request or an answer; the answer has the number of its request.
type frame struct {
	number uint32
	body   []byte
}

// Serve answers one client until it hangs up, which is no error, or ctx ends; the caller
// closes conn then. by is the client's program.
func Serve(ctx context.Context, conn io.ReadWriter, cards *Cards, by agent.Client) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	s := &server{conn: conn, client: newClient(cards, by)}
	requests := make(chan frame, maxPending)
	go func() { cancel(s.receive(ctx, requests)) }() // ends when the caller closes conn
	for {
		select {
		case <-ctx.Done():
			return unlessGone(context.Cause(ctx))
		case request := <-requests:
			if err := s.answer(ctx, request); err != nil {
				return unlessGone(err)
			}
		}
	}
}

// unlessGone is an error, but for that of a client that hung up or was killed.
func unlessGone(err error) error {
	for _, gone := range []error{io.EOF, io.ErrClosedPipe, syscall.EPIPE, syscall.ECONNRESET} {
		if errors.Is(err, gone) {
			return nil
		}
	}
	return err
}

// server is one connection.
type server struct {
	conn   io.ReadWriter
	client *client

	writing sync.Mutex
}

// receive reads the version and requests, until there are no more.
func (s *server) receive(ctx context.Context, requests chan<- frame) error {
	if _, err := io.ReadFull(s.conn, make([]byte, 1)); err != nil {
		return err
	}
	if _, err := s.conn.Write([]byte{version}); err != nil {
		return err
	}
	for {
		request, err := readFrame(s.conn)
		if err != nil {
			return err
		}
		select {
		case requests <- request:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// answer does what a request asks for. One that waits does not keep others waiting: other
// threads of the program share the connection.
func (s *server) answer(ctx context.Context, request frame) error {
	if callOf(request.body) == callWaitForSlotEvent {
		return s.client.wait(ctx, request.body, func(body []byte) error { return s.write(frame{request.number, body}) })
	}
	return s.write(frame{request.number, s.client.answer(ctx, request.body)})
}

func (s *server) write(f frame) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	_, err := s.conn.Write(f.bytes())
	return err
}

// bytes are a header of three numbers (number, length of the options, length of the body),
// and the body.
func (f frame) bytes() []byte {
	header := binary.BigEndian.AppendUint32(nil, f.number)
	header = binary.BigEndian.AppendUint32(header, 0)
	header = binary.BigEndian.AppendUint32(header, uint32(len(f.body)))
	return append(header, f.body...)
}

// readFrame reads a frame; its options say nothing that is needed.
func readFrame(r io.Reader) (frame, error) {
	var header [12]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return frame{}, err
	}
	options, length := binary.BigEndian.Uint32(header[4:]), binary.BigEndian.Uint32(header[8:])
	if options > maxOptions || length > maxBody {
		return frame{}, problem.New(problem.Failed, "p11-kit: a request of %d and %d bytes is too long", options, length)
	}
	if _, err := io.CopyN(io.Discard, r, int64(options)); err != nil {
		return frame{}, unexpected(err)
	}
	var body bytes.Buffer
	if _, err := io.CopyN(&body, r, int64(length)); err != nil { // grows with what arrives
		return frame{}, unexpected(err)
	}
	return frame{binary.BigEndian.Uint32(header[:]), body.Bytes()}, nil
}

// unexpected is the error of a stream that ends in a frame.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
