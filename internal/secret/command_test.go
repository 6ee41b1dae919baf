//go:build unix

package secret

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cardctl/cardctl/internal/problem"
)

func TestCommand(t *testing.T) {
	tests := []struct {
		name, command, want string // "" for a problem
	}{
		{"one line", "echo 123456", "123456"},
		{"several lines", "printf '123456\\nuser: me\\n'", ""},
		{"two line ends", "echo 123456; echo", ""},
		{"without newline", "printf 123456", "123456"},
		{"writes much after it", "echo 123456; seq 100000", ""},
		{"nothing", "true", ""},
		{"empty line", "echo; echo 123456", ""},
		{"fails", "echo 123456; exit 3", ""},
		{"a word that is no program", "a123456", ""},
		{"not there", "exec /nonexistent/command", ""},
		{"too long", "head -c 5000 /dev/zero", ""},
		{"without an end", "cat /dev/zero", ""},
		{"sees no secret", `echo "${CARDCTL_PIN-none} ${MINE-none}"`, "none none"},
		{"gets no stdin", "cat; echo 1", "1"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var stderr bytes.Buffer
			r := &Resolver{
				Env:     append(os.Environ(), "CARDCTL_PIN=123456", "MINE=123456"),
				Stdin:   strings.NewReader("stolen\n"),
				Stderr:  &stderr,
				Sources: sources(t, "pin", "command:"+test.command, "new-pin", "env:MINE"),
			}
			s, err := r.Ask(t.Context(), Request{Name: PIN})
			if string(s.Reveal()) != test.want || (err == nil) != (test.want != "") {
				t.Errorf("%q, %v", s.Reveal(), err)
			}
			if err != nil && (!problem.Is(err, problem.Usage) || strings.Contains(err.Error()+stderr.String(), "123456")) {
				t.Error(err, stderr.String())
			}
		})
	}
}

func TestCommandErrorsPassThrough(t *testing.T) {
	var stderr bytes.Buffer
	r := &Resolver{Env: os.Environ(), Stderr: &stderr, Sources: sources(t, "pin", "command:echo locked >&2; exit 3")}
	_, err := r.Ask(t.Context(), Request{Name: PIN})
	var p *problem.Error
	if !errors.As(err, &p) || p.Why != "The command ended with exit status 3." || stderr.String() != "locked\n" {
		t.Errorf("%v, stderr %q", err, stderr.String())
	}
}

// A command is killed when the context ends, and a child of it that keeps the
// pipe open is not waited for.
func TestCommandCanceled(t *testing.T) {
	for name, command := range map[string]string{"command": "exec sleep 60", "child": "sleep 8; true"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			r := &Resolver{Env: os.Environ(), Sources: sources(t, "pin", "command:"+command)}
			start := time.Now()
			if _, err := r.Ask(ctx, Request{Name: PIN}); err != context.DeadlineExceeded {
				t.Error(err)
			}
			if d := time.Since(start); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}
