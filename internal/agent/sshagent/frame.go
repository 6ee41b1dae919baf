package sshagent

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	// maxMessage is the length of the longest message, that of OpenSSH's agent.
	maxMessage = 256 << 10
	// trusted is how much memory is taken because of a length that a client claims.
	trusted = 4 << 10
	// patience is how long the rest of a message, or its answer, may be on its way.
	patience = 30 * time.Second
)

// timed is a connection that can give up.
type timed interface {
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// readMessage reads a message: its type and contents. It waits for one as long as the
// client likes, but not for the rest of one. The error is io.EOF between two messages.
func readMessage(conn io.Reader) ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(conn, length[:1]); err != nil {
		return nil, err
	}
	if t, ok := conn.(timed); ok {
		if err := t.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return nil, err
		}
		defer func() { _ = t.SetReadDeadline(time.Time{}) }()
	}
	if _, err := io.ReadFull(conn, length[1:]); err != nil {
		return nil, truncated(err)
	}
	n := binary.BigEndian.Uint32(length[:])
	if n == 0 || n > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes", n)
	}
	var message bytes.Buffer
	message.Grow(int(min(n, trusted)) + bytes.MinRead) // so that a passphrase is in one place
	if _, err := io.CopyN(&message, conn, int64(n)); err != nil {
		clear(message.Bytes())
		return nil, truncated(err)
	}
	return message.Bytes(), nil
}

// truncated is the error of a message that ends too early.
func truncated(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// writeMessage writes a message to a client that reads.
func writeMessage(conn io.Writer, message []byte) error {
	if t, ok := conn.(timed); ok {
		if err := t.SetWriteDeadline(time.Now().Add(patience)); err != nil {
			return err
		}
	}
	_, err := conn.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(message))), message...))
	return err
}
