package marionette

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

const greeting = `{"applicationType":"gecko","marionetteProtocol":3}`

// received is a command as Firefox reads it.
type received struct {
	name       string
	parameters map[string]any
}

// browser is a peer in Firefox's place. It greets, and gives one answer after another: a
// text in which %d is the number of the command. It closes the connection after the last.
func browser(t *testing.T, greeting string, answers ...string) (address string, commands <-chan received) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	sent := make(chan received, len(answers))
	go func() {
		defer close(sent)
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		defer func() { _ = connection.Close() }()
		_, _ = connection.Write(newFrame([]byte(greeting)))
		reader := bufio.NewReader(connection)
		for _, answer := range answers {
			text, err := readFrame(reader)
			if err != nil {
				return
			}
			command := received{}
			kind, number := -1, 0
			if err := json.Unmarshal(text, &[]any{&kind, &number, &command.name, &command.parameters}); err != nil || kind != typeCommand {
				t.Errorf("command %s: %v", text, err)
			}
			sent <- command
			if strings.Contains(answer, "%d") {
				answer = fmt.Sprintf(answer, number)
			}
			_, _ = connection.Write(newFrame([]byte(answer)))
		}
	}()
	return listener.Addr().String(), sent
}

const (
	started = `[1,%d,null,{"sessionId":"1"}]`
	nothing = `[1,%d,null,{"value":null}]`
)

// session is a session with a browser that gives these answers.
func session(t *testing.T, answers ...string) (*Session, <-chan received) {
	t.Helper()
	address, commands := browser(t, greeting, append([]string{started}, answers...)...)
	s, err := Dial(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if first := <-commands; first.name != "WebDriver:NewSession" {
		t.Errorf("first command: %+v", first)
	}
	return s, commands
}

func TestCommands(t *testing.T) {
	var sum int
	for name, test := range map[string]struct {
		answer  string
		command func(context.Context, *Session) (any, error)
		want    any
		sent    received
	}{
		"context": {nothing, func(ctx context.Context, s *Session) (any, error) { return nil, s.SetContext(ctx, Chrome) }, nil,
			received{"Marionette:SetContext", map[string]any{"value": "chrome"}}},
		"navigate": {nothing, func(ctx context.Context, s *Session) (any, error) { return nil, s.Navigate(ctx, "https://localhost/") }, nil,
			received{"WebDriver:Navigate", map[string]any{"url": "https://localhost/"}}},
		"execute": {`[1,%d,null,{"value":3}]`, func(ctx context.Context, s *Session) (any, error) {
			err := s.Execute(ctx, "return arguments[0] + arguments[1]", &sum, 1, 2)
			return sum, err
		}, 3, received{executeScript, map[string]any{"script": "return arguments[0] + arguments[1]", "args": []any{1.0, 2.0}}}},
		"execute without arguments": {nothing, func(ctx context.Context, s *Session) (any, error) { return nil, s.Execute(ctx, "f()", nil) }, nil,
			received{executeScript, map[string]any{"script": "f()", "args": []any{}}}},
		"screenshot": {`[1,%d,null,{"value":"iVBORw=="}]`, func(ctx context.Context, s *Session) (any, error) {
			return s.Screenshot(ctx)
		}, []byte("\x89PNG"), received{"WebDriver:TakeScreenshot", map[string]any{"full": false}}},
		"password": {nothing, func(ctx context.Context, s *Session) (any, error) {
			return nil, s.AnswerPassword(ctx, []byte(`12"ä`), `"A"`)
		}, nil, received{executeScript, map[string]any{"script": answerPassword, "args": []any{"MTIiw6Q=", `"A"`}}}},
		"prompts": {`[1,%d,null,{"value":["PIN of the card"]}]`, func(ctx context.Context, s *Session) (any, error) {
			return s.Prompts(ctx)
		}, []string{"PIN of the card"}, received{executeScript, map[string]any{"script": "return window.passwordPrompts", "args": []any{}}}},
		"quit": {`[1,%d,null,{"cause":"shutdown"}]`, func(ctx context.Context, s *Session) (any, error) { return nil, s.Quit(ctx) }, nil,
			received{"Marionette:Quit", map[string]any{"flags": []any{"eForceQuit"}}}},
	} {
		t.Run(name, func(t *testing.T) {
			s, commands := session(t, test.answer)
			got, err := test.command(t.Context(), s)
			if err != nil || !reflect.DeepEqual(got, test.want) {
				t.Errorf("%v, %v", got, err)
			}
			if sent := <-commands; !reflect.DeepEqual(sent, test.sent) {
				t.Errorf("sent %+v", sent)
			}
		})
	}
}

func TestErrorOfFirefox(t *testing.T) {
	s, _ := session(t, `[1,%d,{"error":"javascript error","message":"x is not defined","stacktrace":"@"},null]`, nothing)
	err := s.Execute(t.Context(), "x", nil)
	if failed, ok := errors.AsType[*Error](err); !ok || failed.Code != "javascript error" || failed.Message != "x is not defined" {
		t.Errorf("%v", err)
	}
	if err := s.Navigate(t.Context(), "about:blank"); err != nil {
		t.Errorf("after an error: %v", err)
	}
}

func TestAnswersThatAreNone(t *testing.T) {
	for name, answer := range map[string]string{
		"of another command": `[1,9,null,{}]`,
		"a command":          `[0,%d,null,{}]`,
		"too short":          `[1,%d,null]`,
		"too long":           `[1,%d,null,{},{}]`,
		"no array":           `{}`,
		"no JSON":            `[`,
		"another type":       `[1,"%d",null,{}]`,
		"another result":     `[1,%d,null,{"value":5}]`,
	} {
		t.Run(name, func(t *testing.T) {
			s, _ := session(t, answer)
			picture, err := s.Screenshot(t.Context())
			if err == nil || picture != nil {
				t.Errorf("%q, %v", picture, err)
			}
			if _, ok := errors.AsType[*Error](err); ok {
				t.Errorf("taken for an error of Firefox: %v", err)
			}
		})
	}
}

func TestPeersThatAreNoFirefox(t *testing.T) {
	for name, greeting := range map[string]string{
		"another program": `{"applicationType":"other","marionetteProtocol":3}`,
		"another version": `{"applicationType":"gecko","marionetteProtocol":2}`,
		"no JSON":         `220 mail.example.com`,
	} {
		t.Run(name, func(t *testing.T) {
			address, _ := browser(t, greeting, started)
			if s, err := Dial(t.Context(), address); err == nil {
				_ = s.Close()
				t.Error("a session was started")
			}
		})
	}
}

// What does not answer is waited for until the context ends, and no longer.
func TestContextEnds(t *testing.T) {
	s, _ := session(t) // closes the connection: a command fails
	if err := s.Navigate(t.Context(), "about:blank"); err == nil {
		t.Error("a command without an answer succeeds")
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and is silent
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := Dial(ctx, listener.Addr().String()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestAddress(t *testing.T) {
	profile := t.TempDir()
	if _, err := Address(profile); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("before it listens: %v", err)
	}
	for written, want := range map[string]string{"2828": "127.0.0.1:2828", "2828\n": "127.0.0.1:2828", "": "", "port": "", "-1": "", "65536": ""} {
		if err := os.WriteFile(filepath.Join(profile, "MarionetteActivePort"), []byte(written), 0o600); err != nil {
			t.Fatal(err)
		}
		address, err := Address(profile)
		if address != want || (err == nil) != (want != "") || errors.Is(err, fs.ErrNotExist) != (written == "") {
			t.Errorf("%q: %q, %v", written, address, err)
		}
	}
}
