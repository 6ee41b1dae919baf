package applet

import (
	"context"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

// wording is a question about a card, which it is given the name of.
type wording func(card string) advice.Question

// confirm asks before something is destroyed. look reads what is on the card and
// words the question; nil is nothing to ask. After a person was asked, the card has to be the same with the
// same on it, before anything is changed.
func (c *card) confirm(ctx context.Context, look func(context.Context) (wording, error)) error {
	question, err := look(ctx)
	if err != nil || question == nil {
		return err
	}
	err = c.at.Access.Confirm(ctx, desk.Question{
		Question: question(c.name()),
		Named:    func() advice.Question { return question(c.name()) },
	})
	if err != nil || c.ch != nil {
		return err
	}
	if err := c.take(ctx); err != nil {
		return err
	}
	if c.keys != nil {
		if err := c.open(ctx); err != nil {
			return err
		}
	}
	now, err := look(ctx)
	if err == nil && (now == nil || now("") != question("")) {
		err = problem.New(problem.Refused, "the card has changed since the question").
			Because("Another program wrote to the card meanwhile.").Advise(advice.Do(advice.ListApplets))
	}
	return err
}

// name is what a person knows the card by.
func (c *card) name() string {
	name := "the Java card"
	if serial := c.guard.Serial(); serial != "" {
		name += " " + serial
	}
	return name + " in " + output.Line(c.at.Place)
}
