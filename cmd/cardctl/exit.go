package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/typed"
)

// exitStatus is the only place where a failure becomes a number.
func exitStatus(code problem.Code) int {
	switch code {
	case problem.Usage:
		return 2
	case problem.NotFound:
		return 3
	case problem.PINIncorrect, problem.KeysIncorrect:
		return 4
	case problem.PINBlocked, problem.TriesUnknown:
		return 5
	case problem.CardBusy:
		return 6
	case problem.NotSupported:
		return 7
	case problem.Mismatch:
		return 8
	case problem.Refused:
		return 9
	case problem.CardRemoved, problem.CardChanged:
		return 10
	case problem.Interrupted:
		return 130
	default:
		return 1
	}
}

// next is what to do where the failure itself does not say.
func (env *session) next(code problem.Code, err error) advice.Advice {
	switch code {
	case problem.Usage:
		return advice.Do(advice.Help)
	case problem.NotFound:
		if strings.HasPrefix(env.line.Command(), "ledger") {
			return env.nextOfLedger()
		}
		return advice.Do(advice.ListReaders)
	case problem.CardBusy:
		return advice.Do(advice.Diagnose)
	case problem.CardRemoved:
		return advice.Do(advice.ListReaders, advice.Switch(advice.Wait))
	}
	var path *fs.PathError
	if code == problem.Failed && errors.As(err, &path) {
		place := path.Path
		if errors.Is(err, fs.ErrNotExist) {
			place = filepath.Dir(place)
		}
		return advice.Run("ls", "-ld", place)
	}
	switch {
	case strings.HasPrefix(env.line.Command(), "ledger"):
		return env.nextOfLedger()
	case strings.HasPrefix(env.line.Command(), "sim"):
		return advice.Do(advice.ListSimulated)
	case env.line.Command() == actions[advice.ShowCard]:
		return advice.Do(advice.Diagnose)
	}
	return advice.Do(advice.ShowCard)
}

// nextOfLedger is to look at the ledger, or to make one if that failed.
func (env *session) nextOfLedger() advice.Advice {
	if env.line.Command() == actions[advice.ListCards] {
		return advice.Do(advice.MigrateLedger)
	}
	return advice.Do(advice.ListCards)
}

// diagnose turns what a command came back with into what the user is told.
func (env *session) diagnose(err error) typed.Told {
	p := env.classify(err)
	status, meaning := desk.StatusOf(err)
	return env.line.Tell(p, status, meaning, env.next(p.Code, err))
}

func (env *session) classify(err error) *problem.Error {
	var p *problem.Error
	isProblem := errors.As(err, &p)
	switch {
	case isProblem && (p.Code == problem.Interrupted || p.Code == problem.CardBusy):
		return p
	case errors.Is(err, context.Canceled):
		return problem.New(problem.Interrupted, "interrupted").Because("%s", stateIn(err, context.Canceled))
	case errors.Is(err, context.DeadlineExceeded) && env.flags.timeout > 0:
		return problem.New(problem.Failed, "gave up after %s", env.flags.timeout).
			Because("%s", stateIn(err, context.DeadlineExceeded)).
			Advise(advice.Repeat(advice.Set(advice.Timeout, max(10*env.flags.timeout, 30*time.Second).String())))
	case isProblem:
		return p
	}
	if p, known := desk.Lost(err); known {
		return p
	}
	// The outermost clause is what failed, the others are why.
	what, why, _ := strings.Cut(err.Error(), ": ")
	return problem.New(problem.Failed, "%s", what).Because("%s", why)
}

// stateIn is what an interruption says of the card, behind the cause of it.
func stateIn(err, cause error) string {
	if _, state, told := strings.Cut(err.Error(), cause.Error()+". "); told {
		return state
	}
	return ""
}

type errorReport struct {
	Code      problem.Code `json:"code"`
	Exit      int          `json:"exit"`
	Message   string       `json:"message"`
	Hint      string       `json:"hint"`
	TriesLeft *int         `json:"triesLeft,omitempty"`
}

// fail tells the user what failed, why where that adds something, and what to type
// next, or writes one document. It returns the exit status.
func (env *session) fail(err error) int {
	p := env.diagnose(err)
	status := exitStatus(p.Code)
	if env.flags.output == formatJSON {
		report := errorReport{p.Code, status, output.Line(p.Message()), output.Command(p.Try), p.TriesLeft}
		_ = output.WriteDocument(env.Err, "Error", report)
		return status
	}
	fmt.Fprintf(env.Err, "%s %s\n", env.red("Error:"), output.Line(p.What))
	if p.Why != "" {
		fmt.Fprintln(env.Err, output.Line(p.Why))
	}
	fmt.Fprintf(env.Err, "Try: %s\n", output.Command(p.Try))
	return status
}
