package main

import (
	"context"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
)

// confirm asks before something is destroyed. The question says what that is;
// with --yes it is shown as a note.
func (env *session) confirm(ctx context.Context, q desk.Question) error {
	env.progress.Done()
	if env.flags.yes {
		env.note("%s Yes, by --yes.", q.Text)
		return nil
	}
	refused := problem.New(problem.Refused, "not confirmed").
		Hint("the same command with --yes")
	if env.flags.noInput || !env.terminal.Available() {
		return refused.Because("Nobody could be asked: %s", q.Text)
	}
	if q.Waiting != nil {
		if err := q.Waiting(); err != nil {
			return err
		}
	}
	yes, err := env.terminal.Confirm(ctx, q.Asked())
	env.working()
	switch {
	case err != nil:
		return err
	case !yes:
		return refused.Because("The answer was no.")
	}
	return nil
}
