package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
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

// next is what to type where the failure itself does not say.
func next(code problem.Code, command string) string {
	switch code {
	case problem.Usage:
		return strings.TrimSpace("cardctl "+command) + " --help"
	case problem.NotFound:
		return "cardctl list-readers"
	case problem.CardBusy:
		return "cardctl doctor"
	case problem.CardRemoved:
		return "put the card back, then: cardctl info"
	case problem.Failed:
		return "the same command with --trace FILE"
	default:
		return "cardctl info"
	}
}

// meaning is why where the failure itself says it all, so that the three lines
// are there.
func meaning(code problem.Code) string {
	switch code {
	case problem.Usage:
		return "The command was not run."
	case problem.NotFound:
		return "It is not there, or not to be told from others."
	case problem.NotSupported:
		return "This card, module or version cannot do that."
	case problem.Mismatch:
		return "It is not what it should be."
	case problem.Refused:
		return "Something would be lost."
	default:
		return "Nothing more is known."
	}
}

// diagnose turns what a command came back with into what the user is told.
func (env *session) diagnose(err error) *problem.Error {
	p := env.classify(err)
	told := *p
	told.What, told.Why = p.What, p.Reason()
	if told.What == env.command || told.What == env.object {
		// Nothing but the subject: what failed is in the reason.
		told.What, told.Why, _ = strings.Cut(told.Why, ". ")
		told.What = strings.TrimSuffix(told.What, ".")
	}
	told.What = env.subject(told.What)
	if strings.HasSuffix(told.What, told.Why) {
		told.Why = ""
	}
	if status, text := desk.StatusOf(err); status != "" && !strings.Contains(told.What+told.Why, status) {
		told.Why = strings.TrimSpace(fmt.Sprintf("%s [%s]", strings.TrimSuffix(told.Why, "."), text))
	}
	told.Why = problem.Sentence(told.Why)
	var path *fs.PathError
	switch {
	case told.Try == "" && p.Code == problem.Failed && errors.As(err, &path):
		place := path.Path
		if errors.Is(err, fs.ErrNotExist) {
			place = filepath.Dir(place)
		}
		told.Try = "ls -ld " + quoted(place)
	case told.Try == "":
		told.Try = next(p.Code, env.command)
	}
	may := env.repetition(p.Code)
	told.What, told.Why = may.text(told.What), may.text(told.Why)
	told.Try = env.literal(may.text(told.Try), may)
	told.Cause = nil // what it says is said
	return &told
}

// subject puts in front of what failed the command and what it is run on,
// unless that is said already.
func (env *session) subject(what string) string {
	if env.object != "" && strings.HasPrefix(what, env.command+" "+env.object) {
		return what
	}
	for _, word := range []string{env.object, env.command} {
		if word != "" && what != word && !strings.HasPrefix(what, word+":") && !strings.HasPrefix(what, word+" ") {
			if word == env.object || env.object == "" {
				word += ":"
			}
			what = word + " " + what
		}
	}
	return what
}

func (env *session) classify(err error) *problem.Error {
	var p *problem.Error
	isProblem := errors.As(err, &p)
	switch {
	case isProblem && (p.Code == problem.Interrupted || p.Code == problem.CardBusy):
		return p
	case errors.Is(err, context.Canceled):
		return problem.New(problem.Interrupted, "interrupted").Because("%s", stateIn(err, context.Canceled))
	case errors.Is(err, context.DeadlineExceeded):
		return problem.New(problem.Failed, "gave up after %s", env.flags.timeout).
			Because("%s", stateIn(err, context.DeadlineExceeded)).
			Hint("--timeout %s", max(10*env.flags.timeout, 30*time.Second))
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
	return "The card is as cardctl info now shows it."
}

type errorReport struct {
	Code      problem.Code `json:"code"`
	Exit      int          `json:"exit"`
	Message   string       `json:"message"`
	Hint      string       `json:"hint"`
	TriesLeft *int         `json:"triesLeft,omitempty"`
}

// fail tells the user in three lines, or in one document, and returns the exit
// status.
func (env *session) fail(err error) int {
	p := env.diagnose(err)
	status := exitStatus(p.Code)
	if env.flags.output == formatJSON {
		report := errorReport{p.Code, status, output.Line(p.Error()), output.Line(p.Try), p.TriesLeft}
		_ = output.WriteDocument(env.Err, "Error", report)
		return status
	}
	fmt.Fprintf(env.Err, "%s %s\n", env.red("Error:"), output.Line(p.What))
	fmt.Fprintln(env.Err, output.Line(cmp.Or(p.Why, meaning(p.Code))))
	fmt.Fprintf(env.Err, "Try: %s\n", output.Line(p.Try))
	return status
}
