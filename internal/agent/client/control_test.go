package client_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cardctl/cardctl/internal/agent/client"
	"github.com/cardctl/cardctl/internal/problem"
)

var status = &client.Status{Cards: []client.Card{{Serial: "000F12345678", Reader: "Reader 0", Held: true, APDUs: 12, Operations: 3, PINCached: true}}, Clients: 2}

// handler knows the status, and one reader.
func handler(_ context.Context, r client.Request) (*client.Status, error) {
	switch {
	case r.Do == client.StatusOf:
		return status, nil
	case r.Reader != "" && r.Reader != "Reader 0":
		return nil, problem.New(problem.NotFound, "no reader %s", r.Reader)
	}
	return nil, nil
}

// answering listens on a socket for one client.
func answering(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "ctl")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serve(conn)
			_ = conn.Close()
		}
	}()
	return path
}

func TestAsk(t *testing.T) {
	path := answering(t, func(conn net.Conn) { _ = client.ServeControl(t.Context(), conn, handler) })
	answer, err := client.Ask(t.Context(), path, client.Request{Do: client.StatusOf})
	if err != nil || !answer.OK || !reflect.DeepEqual(answer.Status, status) {
		t.Errorf("%+v, %v", answer, err)
	}
	answer, err = client.Ask(t.Context(), path, client.Request{Do: client.Release, Reader: "Reader 0"})
	if err != nil || !reflect.DeepEqual(answer, client.Answer{OK: true}) {
		t.Errorf("%+v, %v", answer, err)
	}
	if _, err := client.Ask(t.Context(), path, client.Request{Do: client.Release, Reader: "other"}); !problem.Is(err, problem.NotFound) || err.Error() != "no reader other" {
		t.Errorf("another reader: %v", err)
	}
	if _, err := client.Ask(t.Context(), path, client.Request{Do: "fly"}); !problem.Is(err, problem.Usage) {
		t.Errorf("unknown: %v", err)
	}
}

func TestAskFails(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "ctl")
	if _, err := client.Ask(t.Context(), missing, client.Request{Do: client.Lock}); !problem.Is(err, problem.NotFound) {
		t.Errorf("no agent: %v", err)
	}
	for name, text := range map[string]string{"hangs up": "", "no JSON": "yes\n", "no end": `{"ok":true}`, "neither": "{}\n", "long": `{"error":"` + strings.Repeat("x", 2<<20) + "\"}\n"} {
		path := answering(t, func(conn net.Conn) {
			_, _ = conn.Read(make([]byte, 100))
			_, _ = io.WriteString(conn, text)
		})
		if _, err := client.Ask(t.Context(), path, client.Request{Do: client.Lock}); !problem.Is(err, problem.Failed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	silent := answering(t, func(conn net.Conn) { _, _ = io.Copy(io.Discard, conn) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := client.Ask(ctx, silent, client.Request{Do: client.Lock}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("silent: %v", err)
	}
}

func TestServeControl(t *testing.T) {
	for name, test := range map[string]struct {
		input, answer string
		end           error
	}{
		"nothing":        {},
		"status":         {input: `{"do":"status"}` + "\n", answer: `{"ok":true,"status":{"cards":[{"serial":"000F12345678","reader":"Reader 0","held":true,"apdus":12,"operations":3,"pinCached":true}],"clients":2}}` + "\n"},
		"two":            {input: `{"do":"lock"}` + "\n" + `{"do":"release"}` + "\n", answer: `{"ok":true}` + "\n" + `{"ok":true}` + "\n"},
		"stop":           {input: `{"do":"stop"}` + "\n" + `{"do":"lock"}` + "\n", answer: `{"ok":true}` + "\n", end: client.ErrStop},
		"stop refused":   {input: `{"do":"stop","reader":"x"}` + "\n", answer: `{"code":"not-found","error":"no reader x"}` + "\n"},
		"no JSON":        {input: "status\n", answer: `{"code":"usage","error":"the request is not a JSON document"}` + "\n"},
		"another type":   {input: `{"do":["stop"]}` + "\n", answer: `{"code":"usage","error":"the request is not a JSON document"}` + "\n"},
		"unknown":        {input: `{"do":"fly"}` + "\n", answer: `{"code":"usage","error":"unknown request \"fly\""}` + "\n"},
		"cut":            {input: `{"do":"lock"}`, end: io.EOF},
		"without an end": {input: strings.Repeat("[", 1<<20), end: errAny},
	} {
		t.Run(name, func(t *testing.T) {
			var output bytes.Buffer
			err := client.ServeControl(t.Context(), struct {
				io.Reader
				io.Writer
			}{strings.NewReader(test.input), &output}, handler)
			if output.String() != test.answer || !errors.Is(err, test.end) && (test.end != errAny || err == nil) {
				t.Errorf("%s, %v; want %s, %v", output.String(), err, test.answer, test.end)
			}
		})
	}
}

// errAny stands for any error.
var errAny = errors.New("any error")

func TestControlGivesUp(t *testing.T) {
	for name, sends := range map[string]string{"sends nothing": "", "half a request": `{"do"`, "reads nothing": `{"do":"lock"}` + "\n"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := net.Pipe()
				defer func() { _ = ours.Close() }()
				end := make(chan error, 1)
				go func() { end <- client.ServeControl(t.Context(), theirs, handler) }()
				if _, err := io.WriteString(ours, sends); err != nil {
					t.Fatal(err)
				}
				var timeout net.Error
				if err := <-end; !errors.As(err, &timeout) || !timeout.Timeout() {
					t.Error(err)
				}
			})
		})
	}
}

// A request that does not end is given up, so that those whose clients have gone leave room for
// others.
func TestControlOfSlowHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer func() { _ = ours.Close() }()
		go func() {
			// What comes of it is told by the answer.
			_ = client.ServeControl(t.Context(), theirs, func(ctx context.Context, _ client.Request) (*client.Status, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			})
		}()
		if _, err := io.WriteString(ours, `{"do":"lock"}`+"\n"); err != nil {
			t.Fatal(err)
		}
		var answer client.Answer
		if err := json.NewDecoder(ours).Decode(&answer); err != nil || answer.OK || answer.Error == "" {
			t.Errorf("%+v, %v", answer, err)
		}
	})
}

// FuzzServeControl sends whatever comes: each answer is a JSON document on a line.
func FuzzServeControl(f *testing.F) {
	for _, line := range []string{`{"do":"status"}`, `{"do":"release","reader":"x"}`, `{"do":"stop"}`, `{"do":1}`, `[[[`, `{"do":"lock"`} {
		f.Add([]byte(line + "\n"))
	}
	f.Fuzz(func(t *testing.T, input []byte) {
		var output bytes.Buffer
		_ = client.ServeControl(t.Context(), struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(input), &output}, handler)
		for line := range bytes.Lines(output.Bytes()) {
			var answer client.Answer
			if err := json.Unmarshal(line, &answer); err != nil || answer.OK == (answer.Error != "") {
				t.Errorf("%s: %v", line, err)
			}
		}
	})
}
