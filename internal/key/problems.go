package key

import (
	"errors"
	"strings"

	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/openpgp"
	"github.com/cardctl/cardctl/internal/problem"
)

// Explain turns an error of a card application or of the transport into what
// the user is told. What says what was being done; state, where it is not
// empty, what is on the card now.
func Explain(err error, what, state string) error {
	if explained, ok := problem.Explained(err, what, state); ok {
		return explained
	}
	var password *openpgp.PasswordError
	switch {
	case errors.As(err, &password):
		return passwordProblem(password, what)
	case errors.Is(err, iso7816.ErrCardRemoved):
		return wrap(problem.CardRemoved, err, what+": the card was removed", state).
			Hint("put the card back, look at it with cardctl info, and run the command again")
	case errors.Is(err, iso7816.ErrCardReset):
		return wrap(problem.CardBusy, err, what+": another program reset the card", state).
			Hint("close the programs that use the card and run the command again")
	case errors.Is(err, openpgp.ErrNotOpenPGP):
		return wrap(problem.NotSupported, err, what+": this card has no OpenPGP application", state).
			Hint("cardctl list-readers")
	case errors.Is(err, openpgp.ErrNoKey):
		return wrap(problem.NotFound, err, what+": there is no key in this slot", state).
			Hint("cardctl gen-key --key %s", what[strings.LastIndexByte(what, ' ')+1:])
	case errors.Is(err, errors.ErrUnsupported), errors.Is(err, openpgp.ErrExponent):
		return wrap(problem.NotSupported, err, what, problem.Sentences(problem.Sentence(err.Error()), state))
	case iso7816.StatusOf(err) != 0:
		return statusProblem(err, what, state)
	}
	return wrap(problem.Failed, err, what, problem.Sentences(problem.Sentence(err.Error()), state))
}

// LacksOpenPGP reports whether an error is that of a card without the OpenPGP
// application.
func LacksOpenPGP(err error) bool { return errors.Is(err, openpgp.ErrNotOpenPGP) }

func statusProblem(err error, what, state string) *problem.Error {
	p := wrap(problem.Failed, err, what+": "+err.Error(), state)
	switch iso7816.StatusOf(err) {
	case iso7816.StatusSecurityNotSatisfied:
		p.Because("%s", problem.Sentences("The PIN that this needs was not accepted by the card.", state))
	case iso7816.StatusNoSpace, iso7816.StatusMemoryFailure:
		p.Because("%s", problem.Sentences("The card has no room for it.", state))
	case iso7816.StatusINSNotSupported, iso7816.StatusFunctionNotSupported, iso7816.StatusCLANotSupported:
		p.Code = problem.NotSupported
		p.Because("%s", problem.Sentences("The card does not know this command.", state))
	}
	if p.Why == "" {
		p.Because("The card gives no other reason.")
	}
	return p
}

func wrap(code problem.Code, err error, what, state string) *problem.Error {
	p := problem.New(code, "%s", what).Because("%s", state)
	p.Cause = err
	return p
}
