package main

import (
	"context"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/problem"
)

// confirm asks before something is destroyed. The question says what that is;
// with --yes it is shown as a note.
func (env *Env) confirm(ctx context.Context, question string) error {
	return env.ask(ctx, applet.Question{
		Waiting: func() error { return nil },
		Text:    func() string { return question },
	})
}

// ask is confirm for a workflow that does something of its own before a person is
// asked.
func (env *Env) ask(ctx context.Context, q applet.Question) error {
	env.progress.Done()
	if env.flags.yes {
		env.note("%s Yes, by --yes.", q.Text())
		return nil
	}
	refused := problem.New(problem.Refused, "not confirmed").
		Hint("the same command with --yes")
	if env.flags.noInput || !env.terminal.Available() {
		return refused.Because("Nobody could be asked: %s", q.Text())
	}
	if err := q.Waiting(); err != nil {
		return err
	}
	yes, err := env.terminal.Confirm(ctx, q.Text())
	env.working()
	switch {
	case err != nil:
		return err
	case !yes:
		return refused.Because("The answer was no.")
	}
	return nil
}
