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

	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/iso7816"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
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
		return fmt.Sprintf("%s is deleted, with the keys and data in it.", list[0])
	}
	return fmt.Sprintf("%s are deleted, with the keys and data in them.", aids(list))
}

// mayBeDeleted is the state of a card that did not say whether it deleted
// something.
func mayBeDeleted(list ...gp.AID) string {
	return fmt.Sprintf("It is not known whether the card deleted %s; cardctl applet list shows what is on it.", aids(list))
}

// explain turns an error of the card into what the user is told. What says
// what was being done; state, where it is not empty, what is on the card now.
func explain(err error, what, state string) error {
	if explained, ok := problem.Explained(err, what, state); ok {
		return explained
	}
	p := problem.New(problem.Failed, "%s", what).Because("%s", problem.Sentences(problem.Sentence(err.Error()), state))
	p.Cause = err
	switch {
	case errors.Is(err, iso7816.ErrCardRemoved):
		p.Code, p.What = problem.CardRemoved, what+": the card was removed"
		_ = p.Because("%s", state).Hint("put the card back, and look at it with cardctl applet list")
	case errors.Is(err, iso7816.ErrCardReset):
		p.Code, p.What = problem.CardBusy, what+": another program reset the card"
		_ = p.Because("%s", state).Hint("close the programs that use the card and run the command again")
	case errors.Is(err, gp.ErrNoSecurityDomain):
		p.Code, p.What = problem.NotFound, what+": no security domain"
		_ = p.Hint("the same command with --isd AID, if you know the AID of its security domain")
	case errors.Is(err, gp.ErrKeyFormat):
		p.Code, p.What = problem.Usage, what+": these are no card keys"
		_ = p.Hint("the same command with one key, or ENC:MAC:DEK, each of 32, 48 or 64 hexadecimal digits")
	case errors.Is(err, gp.ErrLevel):
		p.Code, p.What = problem.NotSupported, what+": the card does not have this security level"
		_ = p.Hint("the same command with another --security-level, or without")
	case errors.Is(err, gp.ErrProtocol):
		p.Code, p.What = problem.NotSupported, what+": the secure channel cannot be opened"
	case errors.Is(err, gp.ErrTooLong):
		p.Code = problem.NotSupported
	case errors.Is(err, gp.ErrTooManyBlocks):
		p.Code, p.What = problem.Mismatch, what+": the file is too long for this card"
		_ = p.Hint("cardctl applet inspect shows what is long in the file; a card with extended length takes longer blocks")
	case errors.Is(err, gp.ErrResponseMAC), errors.Is(err, gp.ErrMalformed):
		p.What = what + ": the card's answer cannot be used"
		_ = p.Hint("take the card out, put it back and look at it with cardctl applet list")
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
	why := "The card gives no other reason."
	switch refused.Status {
	case iso7816.StatusNoSpace:
		why = "The card has no room for it."
		_ = p.Hint("cardctl applet list")
	case iso7816.StatusMemoryFailure:
		why = "Its memory is full, or failed."
		_ = p.Hint("cardctl applet list")
	case iso7816.StatusSecurityNotSatisfied:
		why = "The security domain does not accept it with these keys, or at this security level."
	case iso7816.StatusINSNotSupported, iso7816.StatusCLANotSupported, iso7816.StatusFunctionNotSupported:
		p.Code, why = problem.NotSupported, "The card does not know this command."
	case iso7816.StatusReferenceNotFound, iso7816.StatusFileNotFound:
		p.Code, why = problem.NotFound, "The card does not have what the command is about."
		_ = p.Hint("cardctl applet list")
		if refused.Command == "SELECT" {
			_ = p.Hint("cardctl info shows the AIDs that the card answers to")
		}
	}
	_ = p.Because("%s", problem.Sentences(why, state))
}
