package pkcs15

import (
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// tool runs a program of OpenSC on the card, which is released for it. What was
// read of the card stays known. Right before it the card is looked at, and right
// after it again: that no other one was in the reader meanwhile cannot be excluded
// otherwise.
func (c *Card) tool(ctx context.Context, job call) ([]byte, error) {
	if err := c.seen(); err != nil {
		return nil, err
	}
	if _, err := c.openSC(ctx); err != nil {
		return nil, err
	}
	if err := c.remember(ctx); err != nil {
		return nil, err
	}
	if err := c.Close(); err != nil {
		return nil, err
	}
	what := job.String()
	job.driver = c.Driver()
	job.args = append([]string{"--reader", c.line.Reader()}, job.args...)
	out, err := c.tools.run(ctx, job)
	if err != nil && ctx.Err() == nil && failure(err) == nil {
		return nil, err // it was not started
	}
	if err = c.lookAfter(ctx, job, what, err); err != nil && job.changes() && !failure(err).unconnected() {
		err = unsettled{err}
	}
	return out, err
}

// lookAfter looks at the card after a program has run, which ended with ran. A
// card that cannot be reached is why the program failed: its own reason is known
// to mislead.
func (c *Card) lookAfter(ctx context.Context, job call, what string, ran error) error {
	if ctx.Err() != nil {
		return ran
	}
	c.serial = job.serial
	err := c.remember(ctx)
	switch {
	case c.changed != nil:
		c.changed = duringRun(c.changed, what, len(job.secrets) > 0)
		return c.changed
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil && ran != nil:
		return goneDuringRun(removed(ran), what)
	case err != nil:
		return goneDuringRun(err, what)
	}
	if ran == nil {
		c.serial = ""
	}
	return ran
}

// duringRun is another card that was found after a program had run: nobody knows
// on which of the two.
func duringRun(err error, what string, secrets bool) error {
	p := problem.Wrap(problem.CardChanged, err, "another card was found while "+what+" was running")
	p.Why = p.Reason() + " The program may have changed either card, or neither."
	if secrets {
		p.Why += " The PIN may have been sent to either card, which uses up a try if it is wrong for that card."
	}
	return p
}

// goneDuringRun is a card that was there when a program began, and was gone when it
// had ended; other errors are as they were.
func goneDuringRun(err error, what string) error {
	if !errors.Is(err, iso7816.ErrCardRemoved) && !problem.Is(err, problem.CardRemoved) {
		return err
	}
	return problem.Wrap(problem.CardRemoved, err, "the card was removed while "+what+" was running").
		Because("The program may have done all of its work, or a part of it.")
}

// seen refuses a card that OpenSC's programs do not see.
func (c *Card) seen() error {
	if c.line.Reader() != "" {
		return nil
	}
	return problem.New(problem.NotSupported, "OpenSC does not see this card").
		Because("OpenSC needs the PC/SC daemon, and this simulated card is not in a PC/SC reader. Attach it, then choose the virtual reader.").
		Advise(advice.Do(advice.AttachSimulated).On(c.tools.Simulated))
}

// openSC is the version of OpenSC, which is asked once.
func (c *Card) openSC(ctx context.Context) (_ Version, err error) {
	if !c.versionKnown {
		c.version, err = c.tools.Version(ctx)
		c.versionKnown = err == nil
	}
	return c.version, err
}

// failure is the failure of a program that is in err, nil for others.
func failure(err error) *toolError {
	var failed *toolError
	if errors.As(err, &failed) {
		return failed
	}
	return nil
}

// explain makes of an error what the user can act on. Where a program failed,
// the card is looked for: the program's reason is known to mislead.
func (c *Card) explain(err error, what string) error {
	var known *problem.Error
	switch {
	case err == nil, errors.As(err, &known), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, iso7816.ErrCardRemoved), errors.Is(err, iso7816.ErrCardReset):
		return err // the caller knows what is on the card
	}
	if p := failure(err).refusal(); p != nil {
		p.Cause = err
		return p
	}
	code, why := problem.Failed, sentence(err.Error())
	if failure(err) != nil {
		why = openSCSays(err)
	}
	switch iso7816.StatusOf(err) {
	case iso7816.StatusNoSpace:
		what, why = "the card is full", "The card answered with "+iso7816.StatusOf(err).String()+"."
	case iso7816.StatusINSNotSupported, iso7816.StatusFunctionNotSupported, iso7816.StatusCLANotSupported:
		code = problem.NotSupported
	}
	p := problem.New(code, "%s", what).Because("%s", why)
	p.Cause = err
	return p
}

func openSCSays(err error) string { return "OpenSC reported: " + err.Error() + "." }

const unknownCard = "Failed to connect to card: Card is invalid or cannot be handled"

// unconnected is a program that did not get as far as the card.
func (e *toolError) unconnected() bool { return e != nil && e.message == unknownCard }

// full is a program for which the card, or a directory on it, had no room left
// (OpenSC, libopensc/errors.c).
func (e *toolError) full() bool {
	if e == nil {
		return false
	}
	for _, text := range []string{"File too small", "Not enough memory on card", "Out of memory on card"} {
		if strings.HasSuffix(e.message, text) {
			return true
		}
	}
	return false
}

// Full reports whether a write failed because the card has no room.
func Full(err error) bool {
	return failure(err).full() || iso7816.StatusOf(err) == iso7816.StatusNoSpace
}

// refusal is what some of OpenSC's last lines mean, nil for others.
func (e *toolError) refusal() *problem.Error {
	if e == nil {
		return nil
	}
	var p *problem.Error
	switch e.message {
	case unknownCard:
		p = problem.New(problem.NotSupported, "OpenSC does not support this card").
			Advise(advice.Do(advice.ListReaders))
	case "Failed to store private key: Not allowed":
		p = problem.New(problem.NotSupported, "this card does not support importing keys").
			Advise(advice.Do(advice.GenerateKey, advice.Fill(advice.Key)))
	default:
		if !e.full() {
			return nil
		}
		p = problem.New(problem.Failed, "the card is full").Advise(advice.Do(advice.ShowCard))
	}
	return p.Because("%s", openSCSays(e))
}

func sentence(s string) string {
	if s == "" {
		return s
	}
	return string(s[0]&^0x20) + s[1:] + "."
}

// judge finds out why a program failed that was given a PIN: the card is
// gone, or the PIN was wrong, which shows in the tries left. before is what
// they were.
func (c *Card) judge(ctx context.Context, err error, before PIN, what string) error {
	failed := failure(err)
	if err == nil || failed == nil || ctx.Err() != nil {
		return c.explain(err, what)
	}
	if errors.Is(err, iso7816.ErrCardRemoved) {
		return err
	}
	c.Forget()
	d, lookErr := c.PINs(ctx)
	if errors.Is(lookErr, iso7816.ErrCardRemoved) || problem.Is(lookErr, problem.CardRemoved) {
		return removed(lookErr)
	}
	if lookErr == nil {
		if now := d.PIN(before.ID); now != nil {
			now.TriesLeft, lookErr = c.Tries(ctx, *now)
			if lookErr == nil && now.TriesLeft >= 0 && now.TriesLeft < before.TriesLeft {
				return wrongPIN(*now, failed)
			}
		}
	}
	if failed.message == "Failed to verify PIN" || failed.message == "PIN code verification failed: PIN code or key incorrect" {
		before.TriesLeft = -1
		return wrongPIN(before, failed)
	}
	if p := failed.refusal(); p != nil {
		p.Cause = err
		return p
	}
	p := problem.New(problem.Failed, "%s", what).Because("%s", openSCSays(failed)).
		Advise(advice.Do(advice.ShowCard))
	p.Cause = err
	return p
}

func removed(cause error) error {
	return fmt.Errorf("%w (%w)", iso7816.ErrCardRemoved, cause)
}

func wrongPIN(p PIN, cause error) error {
	code, what := problem.PINIncorrect, "wrong "+p.Name()
	switch {
	case p.TriesLeft == 0:
		code, what = problem.PINBlocked, what+", which is now blocked"
	case p.TriesLeft > 0:
		what = fmt.Sprintf("%s, %s", what, triesNote(p.TriesLeft))
	}
	e := problem.New(code, "%s", what).Because("The card refused it.")
	if p.TriesLeft >= 0 {
		e = e.WithTries(p.TriesLeft)
	}
	e.Cause = cause
	return e
}

func triesNote(left int) string {
	if left == 1 {
		return "1 try left"
	}
	return fmt.Sprintf("%d tries left", left)
}

func derOf(text []byte) ([]byte, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fmt.Errorf("%w: pkcs15-tool printed no certificate", errMalformed)
	}
	return block.Bytes, nil
}
