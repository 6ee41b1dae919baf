package provision

import (
	"fmt"
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

// Text shows what was done, a card each.
func (r *Report) Text(s *output.Sheet) {
	for _, row := range r.Rows {
		for _, line := range output.Fitted(row.heading()) {
			s.Heading(line)
		}
		for _, step := range row.Steps {
			s.Fits(step.Name, step.text())
		}
		s.Fits("error", row.Error)
		s.Gap()
	}
	for _, out := range r.LeftOut {
		s.Fits("left out", out.Reader+": "+out.Why)
	}
	if r.Replaced != nil {
		r.Replaced.Text(s)
		s.Gap()
	}
	passed, rows := 0, 0
	for _, row := range r.Rows {
		if row.Row > 0 {
			rows++
		}
		if row.Passed {
			passed++
		}
	}
	what := "done"
	if r.DryRun {
		what = "can be done; nothing was changed"
	}
	s.Heading(fmt.Sprintf("%d of %d %s", passed, rows, what))
}

func (r *Row) heading() string {
	first := "Card without a row"
	if r.Row > 0 {
		first = fmt.Sprintf("Row %d", r.Row)
	}
	parts := []string{first}
	for _, part := range []string{r.Person, r.Serial, r.Reader} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	return strings.Join(parts, ", ")
}

func (s *Step) text() string {
	text := string(s.Result)
	if s.Detail != "" {
		text += ": " + s.Detail
	}
	if s.APDUs > 0 {
		text += fmt.Sprintf(" (%d APDUs)", s.APDUs)
	}
	return text
}

// Lines are an event where nothing moves, no longer than a terminal is wide.
func (e Event) Lines() []string {
	parts := []string{e.Reader}
	if e.Person != "" {
		parts = append(parts, e.Person)
	}
	if e.Step != StepDone { // then the result is that of the card
		parts = append(parts, e.Step)
	}
	if e.Result != "" {
		parts = append(parts, e.Result)
	}
	if e.Detail != "" {
		parts = append(parts, e.Detail)
	}
	return output.Fitted(fmt.Sprintf("%s (%d left)", strings.Join(parts, ": "), e.Left))
}

// told is an error in one line: if it is several, each is told once.
func told(err error) string {
	var all []string
	for _, one := range strings.Split(err.Error(), "\n") {
		if !slices.ContainsFunc(all, func(before string) bool { return strings.Contains(before, strings.TrimSuffix(one, ".")) }) {
			all = append(all, one)
		}
	}
	if len(all) == 1 {
		return all[0]
	}
	for i := 1; i < len(all); i++ {
		all[i] = problem.Sentence(all[i])
	}
	all[0] = strings.TrimSuffix(all[0], ".") + "."
	return problem.Sentences(all...)
}
