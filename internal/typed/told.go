package typed

import (
	"fmt"
	"strings"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// Told is what a person is told of a failure: what failed, why where that adds
// something, and what to type next.
type Told struct {
	Code           problem.Code
	What, Why, Try string
	TriesLeft      *int
}

// Message is what failed and why.
func (t Told) Message() string { return problem.Joined(t.What, t.Why) }

// Tell turns a failure of the command into what the person is told. Status, with its
// meaning, is what the card answered, or empty. If the failure has no advice that can be
// typed, there is other advice.
func (l *Line) Tell(p *problem.Error, status, meaning string, other advice.Advice) Told {
	t := Told{Code: p.Code, What: p.What, Why: p.Reason(), TriesLeft: p.TriesLeft}
	if t.What == l.Command() || t.What == l.Object {
		// Nothing but the subject: what failed is in the reason.
		t.What, t.Why, _ = strings.Cut(t.Why, ". ")
		t.What = strings.TrimSuffix(t.What, ".")
	}
	t.What = l.subject(t.What)
	if strings.HasSuffix(t.What, t.Why) {
		t.Why = ""
	}
	if status != "" && !strings.Contains(t.What+t.Why, status) {
		t.Why = strings.TrimSpace(fmt.Sprintf("%s [%s]", strings.TrimSuffix(t.Why, "."), meaning))
	}
	may := l.repetition(p.Code)
	t.What, t.Why = may.text(t.What), may.text(problem.Sentence(t.Why))
	t.Why = problem.Sentences(t.Why, l.unless(p.Unless, may))
	t.Try = l.firstWorded(may, p.Next, other)
	return t
}

// subject puts in front of what failed the command and what it is run on,
// unless that is said already.
func (l *Line) subject(what string) string {
	if l.Object != "" && strings.HasPrefix(what, l.Command()+" "+l.Object) {
		return what
	}
	for _, word := range []string{l.Object, l.Command()} {
		if word != "" && what != word && !strings.HasPrefix(what, word+":") && !strings.HasPrefix(what, word+" ") {
			if word == l.Object || l.Object == "" {
				word += ":"
			}
			what = word + " " + what
		}
	}
	return what
}

// Unless says which flags allow what was refused.
func (l *Line) Unless(values []advice.Value) string { return l.unless(values, nil) }

func (l *Line) unless(values []advice.Value, may *repetition) string {
	if len(values) == 0 || !l.takes(values) {
		return ""
	}
	return "To allow it, add " + strings.Join(l.flagTexts(values, may), " ") + "."
}
