package main

import (
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
