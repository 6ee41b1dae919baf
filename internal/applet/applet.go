// Package applet is the work on a Java card that a person asks for by name:
// inspect a CAP or IJC file, list the contents of the card, install, delete,
// replace the card keys, and run a GPShell script. It checks everything about a
// file and its parameters before it uses the card. If a step fails, it removes
// what that step left on the card, or reports it. The commands themselves are
// left to package gp.
package applet

import (
	"errors"
	"fmt"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// unchanged is the state of a card that nothing was sent to that changes it, or
// that refused it.
const unchanged = key.Untouched

// deleted is the state of a card that something was deleted from, for sure.
func deleted(list []gp.AID) string {
	switch len(list) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("%s was deleted, with the keys and data in it.", list[0])
	}
	return fmt.Sprintf("%s were deleted, with the keys and data in them.", aids(list))
}

// mayBeDeleted is the state of a card that did not say whether it deleted
// something.
func mayBeDeleted(list ...gp.AID) string {
	return fmt.Sprintf("It is not known whether the card deleted %s.", aids(list))
}

// explain turns an error of the card into what the user is told. What says
// what was being done; state, where it is not empty, what is on the card now.
func explain(err error, what, state string) error {
	if explained, ok := problem.Explained(err, what, state); ok {
		return explained
	}
	p := problem.New(problem.Failed, "%s", what).Because("%s", problem.Sentences(problem.Sentence(err.Error()), state))
	p.Cause = err
	if state != "" && state != unchanged {
		_ = p.Advise(advice.Do(advice.ListApplets))
	}
	switch {
	case errors.Is(err, iso7816.ErrCardRemoved):
		p.Code, p.What = problem.CardRemoved, what+": the card was removed"
		_ = p.Because("%s", state).Advise(advice.Do(advice.ListReaders, advice.Switch(advice.Wait)))
	case errors.Is(err, iso7816.ErrCardReset):
		p.Code, p.What = problem.CardBusy, what+": another program reset the card"
		_ = p.Because("%s", state).Advise(advice.Do(advice.Diagnose))
	case errors.Is(err, gp.ErrNoSecurityDomain):
		p.Code, p.What = problem.NotFound, what+": no security domain"
		_ = p.Because("%s", problem.Sentences("The card does not answer to any well-known AID of a security domain.", state)).
			Advise(advice.Repeat(advice.Fill(advice.Domain)))
	case errors.Is(err, gp.ErrKeyFormat):
		p.Code, p.What = problem.Usage, what+": the card keys cannot be used"
		_ = p.Advise(advice.Repeat(advice.Ask(secret.CardKeys)))
	case errors.Is(err, gp.ErrLevel):
		p.Code, p.What = problem.NotSupported, what+": the card does not have this security level"
		_ = p.Advise(advice.Repeat().Without(advice.SecurityLevel))
	case errors.Is(err, gp.ErrProtocol):
		p.Code, p.What = problem.NotSupported, what+": the secure channel cannot be opened"
	case errors.Is(err, gp.ErrTooLong):
		p.Code = problem.NotSupported
	case errors.Is(err, gp.ErrTooManyBlocks):
		p.Code, p.What = problem.Mismatch, what+": the file is too long for this card"
		_ = p.Advise(advice.Say("Use a card with extended length, which accepts longer blocks."))
	case errors.Is(err, gp.ErrResponseMAC), errors.Is(err, gp.ErrMalformed):
		p.What = what + ": the card's answer cannot be used"
	default:
		statusProblem(p, err, what, state)
	}
	return p
}

// statusProblem words a command that the card did not answer by success.
func statusProblem(p *problem.Error, err error, what, state string) {
	var refused *gp.CommandError
	if !errors.As(err, &refused) {
		return
	}
	p.What = what + ": " + refused.Error()
	why := "The card gave no other reason."
	var known *because
	switch {
	case refused.Locked:
		why = "The card is locked (life cycle state CARD_LOCKED), and refuses nearly every command until it is unlocked."
		_ = p.Because("%s", problem.Sentences(why, state)).Advise(advice.Do(advice.UnlockCard))
		return
	case errors.As(err, &known):
		_ = p.Because("%s", problem.Sentences(known.why, state)).Advise(advice.Do(advice.ListApplets))
		return
	case refused.Command == "DELETE" && refused.Status == iso7816.StatusConditionsNotSatisfied:
		why = "Something on the card still needs it: applications installed from it, or packages that import it."
		_ = p.Advise(advice.Do(advice.ListApplets))
	}
	switch refused.Status {
	case iso7816.StatusNoSpace:
		why = "The card has too little free memory."
		_ = p.Advise(advice.Do(advice.ListApplets))
	case iso7816.StatusMemoryFailure:
		why = "The card's memory is full or has failed."
		_ = p.Advise(advice.Do(advice.ListApplets))
	case iso7816.StatusSecurityNotSatisfied:
		why = "The security domain does not accept the command with these keys, or at this security level."
	case iso7816.StatusINSNotSupported, iso7816.StatusCLANotSupported, iso7816.StatusFunctionNotSupported:
		p.Code, why = problem.NotSupported, "The card does not support this command."
	case iso7816.StatusReferenceNotFound, iso7816.StatusFileNotFound:
		p.Code, why = problem.NotFound, "The card does not have the object of the command."
		_ = p.Advise(advice.Do(advice.ListApplets))
		if refused.Command == "SELECT" {
			why = "The card has no application with this AID."
			_ = p.Advise(advice.Do(advice.ShowCard))
		}
	}
	_ = p.Because("%s", problem.Sentences(why, state))
}
