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
func (env *session) next(code problem.Code) advice.Advice {
	switch code {
	case problem.Usage:
		return advice.Do(advice.Help)
	case problem.NotFound:
		return advice.Do(advice.ListReaders)
	case problem.CardBusy:
		return advice.Do(advice.Diagnose)
	case problem.CardRemoved:
		return advice.Do(advice.ListReaders, advice.Switch(advice.Wait))
	}
	switch {
	case strings.HasPrefix(env.command, "sim"):
		return advice.Do(advice.ListSimulated)
	case env.command == actions[advice.ShowCard]:
		return advice.Do(advice.Diagnose)
	}
	return advice.Do(advice.ShowCard)
}

// told is what the user is told: two or three lines, or a document.
type told struct {
	code           problem.Code
	what, why, try string
	triesLeft      *int
}

func (t told) message() string { return problem.Joined(t.what, t.why) }

// diagnose turns what a command came back with into what the user is told.
func (env *session) diagnose(err error) told {
	p := env.classify(err)
	t := told{code: p.Code, what: p.What, why: p.Reason(), triesLeft: p.TriesLeft}
	if t.what == env.command || t.what == env.object {
		// Nothing but the subject: what failed is in the reason.
		t.what, t.why, _ = strings.Cut(t.why, ". ")
		t.what = strings.TrimSuffix(t.what, ".")
	}
	t.what = env.subject(t.what)
	if strings.HasSuffix(t.what, t.why) {
		t.why = ""
	}
	if status, text := desk.StatusOf(err); status != "" && !strings.Contains(t.what+t.why, status) {
		t.why = strings.TrimSpace(fmt.Sprintf("%s [%s]", strings.TrimSuffix(t.why, "."), text))
	}
	may := env.repetition(p.Code)
	t.what, t.why = may.text(t.what), may.text(problem.Sentence(t.why))
	t.why = problem.Sentences(t.why, env.unless(p.Unless, may))
	t.try = env.try(p, err, may)
	return t
}

// unless says which flags allow what was refused.
func (env *session) unless(values []advice.Value, may *repetition) string {
	if len(values) == 0 || !env.takes(values) {
		return ""
	}
	return "To allow it, add " + strings.Join(env.flagTexts(values, may), " ") + "."
}

// try is what to type next: what the failure says, or what goes with its code.
func (env *session) try(p *problem.Error, err error, may *repetition) string {
	if try := env.worded(p.Next, may); try != "" {
		return try
	}
	var path *fs.PathError
	if p.Code == problem.Failed && errors.As(err, &path) {
		place := path.Path
		if errors.Is(err, fs.ErrNotExist) {
			place = filepath.Dir(place)
		}
		return env.worded(advice.Run("ls", "-ld", place), may)
	}
	return env.worded(env.next(p.Code), may)
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
	status := exitStatus(p.code)
	if env.flags.output == formatJSON {
		report := errorReport{p.code, status, output.Line(p.message()), output.Line(p.try), p.triesLeft}
		_ = output.WriteDocument(env.Err, "Error", report)
		return status
	}
	fmt.Fprintf(env.Err, "%s %s\n", env.red("Error:"), output.Line(p.what))
	if p.why != "" {
		fmt.Fprintln(env.Err, output.Line(p.why))
	}
	fmt.Fprintf(env.Err, "Try: %s\n", output.Line(p.try))
	return status
}
