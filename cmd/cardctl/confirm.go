package main

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
)

// confirm asks before something is destroyed. With --yes it says what is done as a
// note.
func (env *session) confirm(ctx context.Context, q desk.Question) error {
	env.progress.Done()
	if env.flags.yes {
		env.note("Confirmed by --yes: %s", q.Statement())
		return nil
	}
	refused := problem.New(problem.Refused, "not confirmed")
	if env.flags.noInput || !env.terminal.Available() {
		again := advice.Repeat()
		if env.flags.noInput {
			again = again.Without(advice.NoInput)
		}
		return refused.Because("cardctl could not ask: %s", q.Question).AllowedBy(advice.Switch(advice.Yes)).Advise(again)
	}
	if q.Waiting != nil {
		if err := q.Waiting(); err != nil {
			return err
		}
	}
	yes, err := env.terminal.Confirm(ctx, q.Asked().String())
	env.working()
	switch {
	case err != nil:
		return err
	case !yes:
		return refused.Because("The answer was no.")
	}
	return nil
}
