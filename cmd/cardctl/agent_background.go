package main

import (
	"context"
	"errors"
	"os"
	"slices"

	"github.com/cardctl/cardctl/internal/agent/service"
	"github.com/cardctl/cardctl/internal/problem"
)

// inBackground starts this program once more, as an agent in the background.
func (env *session) inBackground(ctx context.Context, dir string) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	words := slices.Concat([]string{program}, os.Args[1:], []string{"--foreground"})
	sockets, err := service.Background(ctx, dir, env.agentLog, words, env.Environ)
	var ended *service.EndedError
	if errors.As(err, &ended) {
		return startProblem(ended)
	}
	if err != nil {
		return err
	}
	return env.tellSockets(sockets)
}

// startProblem is the problem that an agent had which did not start.
func startProblem(ended *service.EndedError) *problem.Error {
	p := problem.New(problem.Failed, "the agent ended")
	for _, code := range []problem.Code{
		problem.Usage, problem.NotFound, problem.CardBusy, problem.NotSupported, problem.Mismatch, problem.Refused, problem.Interrupted,
	} {
		if exitStatus(code) == ended.Status {
			p.Code = code
		}
	}
	if ended.Said != "" {
		p.What = ended.Said
	}
	return p
}
