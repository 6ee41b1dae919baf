package main

import (
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/agent/service"
	"github.com/cardctl/cardctl/internal/problem"
)

// An agent that does not start in the background fails as one in the foreground does.
func TestStartProblem(t *testing.T) {
	for status, code := range map[int]problem.Code{1: problem.Failed, 2: problem.Usage, 6: problem.CardBusy, 9: problem.Refused} {
		if p := startProblem(&service.EndedError{Status: status, Said: "no socket"}); p.What != "no socket" || p.Code != code {
			t.Errorf("%d: %s %s", status, p.Code, p.What)
		}
	}
}

// A source of the PIN that is the program's, or that the agent in the background does not have,
// is refused before anything begins: what a program says is no PIN.
func TestAgentPINSources(t *testing.T) {
	d := newDesk(t)
	for _, line := range []string{
		"--pin stdin", "--pin fd:0", "--pin fd:3", "--pin prompt", "--stdio scd --pin stdin", "--stdio p11 --pin fd:00",
	} {
		r := d.run(t.Context(), append([]string{"agent"}, strings.Fields(line)...))
		if r.exit != 2 || r.stdout != "" || !strings.Contains(r.stderr, "cannot read the PIN from there") {
			t.Errorf("%s: %+v", line, r)
		}
	}
}

// A relative XDG_RUNTIME_DIR is ignored: programs that work elsewhere would look for the agent in
// another directory.
func TestAgentRelativeRuntimeDir(t *testing.T) {
	env := &session{Env: &Env{Environ: []string{"XDG_RUNTIME_DIR=run", "CARDCTL_STATE_DIR=/state"}}}
	if dir, err := env.runtimeDir(); dir != "/state/run" || err != nil {
		t.Errorf("%s, %v", dir, err)
	}
	if socket := (&agentOptions{}).p11SocketOf(env); socket != "" {
		t.Error(socket)
	}
}
