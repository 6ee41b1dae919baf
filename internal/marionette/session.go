// Package marionette drives a Firefox that was started with --marionette, through its
// remote protocol Marionette, version 3: frames of JSON over TCP, one command and one
// answer at a time. To start and to end the program is left to the caller.
package marionette

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// version is that of the protocol.
const version = 3

// Address is where a Firefox with this profile listens. It chooses the port if its
// preference marionette.port is 0. The error is fs.ErrNotExist as long as it does not
// listen.
func Address(profile string) (string, error) {
	file := filepath.Join(profile, "MarionetteActivePort")
	text, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	if len(text) == 0 { // it is being written
		return "", &fs.PathError{Op: "read", Path: file, Err: fs.ErrNotExist}
	}
	port, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 16)
	if err != nil {
		return "", fmt.Errorf("%s: %w", file, err)
	}
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(port)).String(), nil
}

// Session is a session with Firefox. It is not safe for concurrent use. After an error
// that is not an *Error it cannot be used.
type Session struct {
	connection net.Conn
	reader     *bufio.Reader
	commands   int // so far
}

// Dial connects to Firefox and starts a session.
func Dial(ctx context.Context, address string) (*Session, error) {
	var dialer net.Dialer
	connection, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	s := &Session{connection: connection, reader: bufio.NewReader(connection)}
	if err := s.start(ctx); err != nil {
		_ = connection.Close()
		return nil, fmt.Errorf("marionette at %s: %w", address, err)
	}
	return s, nil
}

// start reads the greeting, which Firefox sends unasked, and starts a session.
func (s *Session) start(ctx context.Context) error {
	var greeting struct {
		ApplicationType    string
		MarionetteProtocol int
	}
	err := s.during(ctx, func() error {
		text, err := readFrame(s.reader)
		if err != nil {
			return err
		}
		return json.Unmarshal(text, &greeting)
	})
	if err != nil {
		return err
	}
	if greeting.ApplicationType != "gecko" || greeting.MarionetteProtocol != version {
		return fmt.Errorf("it speaks version %d of %q, not version %d of gecko", greeting.MarionetteProtocol, greeting.ApplicationType, version)
	}
	return s.call(ctx, "WebDriver:NewSession", map[string]any{"capabilities": map[string]any{
		"alwaysMatch": map[string]any{"unhandledPromptBehavior": "ignore"}, // by default, the next command dismisses it
	}}, nil)
}

// Close ends the connection. Firefox goes on.
func (s *Session) Close() error { return s.connection.Close() }

// during ends what fails or hangs on the connection when the context ends.
func (s *Session) during(ctx context.Context, talk func() error) error {
	stop := context.AfterFunc(ctx, func() { _ = s.connection.SetDeadline(time.Unix(1, 0)) })
	err := talk()
	if !stop() && err != nil {
		return errors.Join(context.Cause(ctx), err)
	}
	return err
}
