package setup

import (
	"slices"
	"strings"

	"github.com/cardctl/cardctl/internal/output"
)

// Report is what was done.
type Report struct {
	Target string `json:"target"`
	// Scope is whose configuration it is: "system", "home /home/NAME", "profile PATH".
	Scope   string   `json:"scope"`
	Action  Action   `json:"action"`
	Changes []Change `json:"changes"`
	// Completed says that everything was done that there was to do.
	Completed bool `json:"completed"`
	// Seen is what a check saw.
	Seen string `json:"seen,omitempty"`
	// Next are the commands to type afterwards, Notes what else is to be known.
	Next  []string `json:"next,omitempty"`
	Notes []string `json:"notes,omitempty"`
}

// Was is what was found in the place of an entry.
type Was string

// What can be found.
const (
	Absent  Was = "absent"
	Present Was = "present"
	Foreign Was = "foreign"
)

// Change is one entry.
type Change struct {
	Place   string `json:"place"`
	Content string `json:"content"`
	Was     Was    `json:"was,omitempty"`
	// Done says that it was written, or taken back.
	Done bool `json:"done"`
	// Difference has lines that cardctl writes, after -, and those that are there
	// instead, after +.
	Difference string `json:"difference,omitempty"`
}

func changeOf(e entry) Change { return Change{Place: e.place(), Content: e.text()} }

// found is the change with what was found in its place.
func (c Change) found(is state, difference string) Change {
	c.Was, c.Difference = [...]Was{absent: Absent, present: Present, foreign: Foreign}[is], difference
	return c
}

// Tells reports whether there is something to show of a job that failed.
func (r *Report) Tells() bool {
	return slices.ContainsFunc(r.Changes, func(c Change) bool { return c.Done || c.Difference != "" })
}

func (r *Report) tell(p plan) { r.Next, r.Notes = p.next, p.notes }

// Text shows the report.
func (r *Report) Text(s *output.Sheet) {
	s.Heading(r.heading())
	for _, c := range r.Changes {
		if r.Action == Print {
			s.Gap()
			s.Heading("# " + c.Place)
			s.Verbatim(c.Content)
			continue
		}
		s.Field(r.done(c), c.Place)
		s.Verbatim(c.Difference)
	}
	if r.Seen != "" {
		s.Field("seen", r.Seen)
	}
	if !r.Completed {
		return
	}
	for _, note := range r.Notes {
		s.Field("note", note)
	}
	if len(r.Next) > 0 {
		s.Heading("Now type:")
		s.Verbatim(strings.Join(r.Next, "\n"))
	}
}

func (r *Report) heading() string {
	if !r.Completed {
		return "Not completed: " + string(r.Action) + " " + r.Target + " (" + r.Scope + ")"
	}
	verb := map[Action]string{Write: "Set up", Print: "Would be written for", Check: "Checked", Undo: "Undone"}[r.Action]
	return strings.Join([]string{verb, r.Target, "(" + r.Scope + ")"}, " ")
}

func (r *Report) done(c Change) string {
	switch {
	case c.Done && r.Action == Undo:
		return "removed"
	case c.Done:
		return "written"
	case c.Was == Foreign:
		return "differs"
	case r.Action == Undo && c.Was == Absent:
		return "was gone"
	case r.Action == Undo:
		return "not removed"
	case c.Was == Present:
		return "was there"
	}
	return "not written"
}
