package key

import (
	"context"
	"errors"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/problem"
)

// Untouched is what is on a card when nothing was done to it.
const Untouched = "Nothing on the card was changed."

// ChangedMeanwhile is the error of what is not there any more as it was looked at,
// or confirmed. place is where another program wrote to, "the card"; state, where
// it is not empty, what is there now.
func ChangedMeanwhile(what, place, state string) error {
	return problem.New(problem.Refused, "%s", what).
		Because("%s", problem.Sentences("Another program wrote to "+place+" meanwhile.", state))
}

// Unreachable reports whether nothing more can be read of the card after err; what
// is wrong with one thing on it does not hide the others.
func Unreachable(ctx context.Context, err error) bool {
	return ctx.Err() != nil || problem.Gone(err) || problem.Is(err, problem.CardBusy) ||
		errors.Is(err, iso7816.ErrCardRemoved) || errors.Is(err, iso7816.ErrCardReset)
}

// Explain turns an error of a card application or of the transport into what
// the user is told. What says what was being done; state, where it is not
// empty, what is on the card now. A family words its own errors before.
func Explain(err error, what, state string) error {
	if explained, ok := problem.Explained(err, what, state); ok {
		return explained
	}
	switch {
	case errors.Is(err, iso7816.ErrCardRemoved):
		return Wrap(problem.CardRemoved, err, what+": the card was removed", state)
	case errors.Is(err, iso7816.ErrCardReset):
		return Wrap(problem.CardBusy, err, what+": another program reset the card", state)
	case errors.Is(err, errors.ErrUnsupported):
		return Wrap(problem.NotSupported, err, what, problem.Sentences(problem.Sentence(err.Error()), state))
	case iso7816.StatusOf(err) != 0:
		return statusProblem(err, what, state)
	}
	return Wrap(problem.Failed, err, what, problem.Sentences(problem.Sentence(err.Error()), state))
}

func statusProblem(err error, what, state string) *problem.Error {
	p := Wrap(problem.Failed, err, what+": "+err.Error(), state)
	if refused := new(iso7816.StatusError); errors.As(err, &refused) && refused.TooLong {
		p.Code = problem.NotSupported
		return p.Because("%s", problem.Sentences("The card accepts at most 255 bytes at once, neither by extended length nor by chaining, and this is more.", state))
	}
	switch iso7816.StatusOf(err) {
	case iso7816.StatusSecurityNotSatisfied:
		p.Because("%s", problem.Sentences("The PIN that this needs has not been verified.", state))
	case iso7816.StatusNoSpace, iso7816.StatusMemoryFailure:
		p.Because("%s", problem.Sentences("The card has no room left.", state))
	case iso7816.StatusINSNotSupported, iso7816.StatusFunctionNotSupported, iso7816.StatusCLANotSupported:
		p.Code = problem.NotSupported
		p.Because("%s", problem.Sentences("The card does not support this command.", state))
	}
	if p.Why == "" {
		p.Because("The card gave no other reason.")
	}
	return p
}

// Wrap is a problem with a cause whose text is not shown, and a state as its
// reason.
func Wrap(code problem.Code, err error, what, state string) *problem.Error {
	p := problem.New(code, "%s", what).Because("%s", state)
	p.Cause = err
	return p
}
