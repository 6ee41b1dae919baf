package main

import (
	"context"
	"strings"

	"github.com/cardctl/cardctl/internal/problem"
)

// confirm asks before something is destroyed. The question says in all its
// lines what that is; with --yes it is shown as a note.
func (env *Env) confirm(ctx context.Context, question string) error {
	env.progress.Done()
	lines := strings.Split(strings.TrimSpace(question), "\n")
	if env.flags.yes {
		for _, line := range lines[:len(lines)-1] {
			env.note("%s", line)
		}
		return nil
	}
	refused := problem.New(problem.Refused, "not confirmed").
		Hint("the same command with --yes")
	if env.flags.noInput || !env.terminal.Available() {
		return refused.Because("Nobody could be asked: %s", strings.Join(lines, " "))
	}
	yes, err := env.terminal.Confirm(ctx, question)
	switch {
	case err != nil:
		return err
	case !yes:
		return refused.Because("The answer was no.")
	}
	return nil
}
