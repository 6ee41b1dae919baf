package applet

import (
	"context"

	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// Confirm asks before something is destroyed; an error from it ends the work.
// A nil Confirm asks nobody.
type Confirm func(context.Context, Question) error

// Question is what is asked before something is destroyed.
type Question struct {
	// Waiting is called before a person is asked, and not where nobody is:
	// it notes which card this is and ends the secure channel, so that the
	// card can be released. Its error ends the work.
	Waiting func() error

	// Text is the question. It is worded after Waiting, where that is called.
	Text func() string
}

// confirm asks. look reads what is on the card and words the question, which is
// about the card that it is given the name of; nil is nothing to ask. After a person was asked, the
// card has to be the same with the same on it, before anything is changed.
func (c *card) confirm(ctx context.Context, ask Confirm, look func(context.Context) (func(card string) string, error)) error {
	question, err := look(ctx)
	if err != nil || ask == nil || question == nil {
		return err
	}
	waited := false
	err = ask(ctx, Question{
		Waiting: func() error { waited = true; return c.pause(ctx) },
		Text:    func() string { return question(c.name()) },
	})
	if err != nil || !waited {
		return err
	}
	if err := c.resume(ctx); err != nil {
		return err
	}
	now, err := look(ctx)
	if err == nil && (now == nil || now("") != question("")) {
		err = problem.New(problem.Refused, "what is on the card has changed since the question").Hint("cardctl applet list")
	}
	return err
}

// name is what a person knows the card by.
func (c *card) name() string {
	name := "the Java card"
	if c.guard.card != "" {
		name += " " + c.guard.card
	}
	if c.access.Reader != "" {
		name += " in " + c.access.Reader
	}
	return name
}

// pause notes which card this is and ends the secure channel.
func (c *card) pause(ctx context.Context) (err error) {
	if c.domain == nil { // a script, of which nothing has run
		if c.domain, err = gp.Discover(ctx, c.access.Channel, c.access.ISD); err != nil {
			return err
		}
	}
	if err := c.guard.identify(ctx, c.domain); err != nil {
		return err
	}
	return c.domain.Reselect(ctx)
}

// resume opens the secure channel again after a pause, with the card that was
// there before: no key is tried on another one.
func (c *card) resume(ctx context.Context) error {
	if err := c.same(ctx); err != nil || c.keys == nil {
		return err
	}
	return c.open(ctx, c.keys, c.access.KeyVersion)
}

// same compares the card with the one before the pause: by its serial now, and by
// its key diversification data when the secure channel is opened.
func (c *card) same(ctx context.Context) error {
	before := c.guard.await()
	err := c.domain.Reselect(ctx)
	if iso7816.StatusOf(err) != 0 {
		return errCardChanged() // the domain was there before
	}
	if err == nil {
		err = c.guard.identify(ctx, c.domain)
	}
	if err == nil && c.guard.card != before {
		return errCardChanged()
	}
	return err
}

func errCardChanged() error {
	return problem.New(problem.CardRemoved, "another card is in the reader").
		Because("It is not the card that the question was about.").Hint("put the card back and run the same command again")
}
