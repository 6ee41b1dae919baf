package provision

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/output"
)

// Board is what somebody sees who changes cards in several readers: a line for each reader,
// and how many rows are left.
type Board struct {
	readers []string
	lines   map[string]string
}

const boardWidth = 79 // columns

// Hear is what the board shows after an event.
func (b *Board) Hear(e Event) []string {
	if b.lines == nil {
		b.lines = map[string]string{}
	}
	if e.Reader != "" && !slices.Contains(b.readers, e.Reader) {
		b.readers = append(b.readers, e.Reader)
		slices.Sort(b.readers)
	}
	b.lines[e.Reader] = e.doing()
	var lines []string
	for _, reader := range b.readers {
		lines = append(lines, cut(output.Line(reader+": "+b.lines[reader])))
	}
	return append(lines, fmt.Sprintf("%d left", e.Left))
}

// doing is what happens in a reader, in words for whoever stands before it.
func (e Event) doing() string {
	switch {
	case e.Step == StepInsert:
		return "INSERT the next card"
	case e.Step == StepRemove:
		return "REMOVE the card"
	case e.Step == StepDone && e.Result == string(Failed):
		return "FAILED: " + e.who() + e.Detail
	case e.Step == StepDone:
		return e.who() + e.Result
	}
	return e.who() + e.Step
}

func (e Event) who() string {
	if e.Person == "" {
		return ""
	}
	return e.Person + ": "
}

// cut shortens a line to what fits.
func cut(line string) string {
	if utf8.RuneCountInString(line) <= boardWidth {
		return line
	}
	return string([]rune(line)[:boardWidth-1]) + "…"
}

// Calls reports whether somebody has to do something with the card.
func (e Event) Calls() bool { return e.Step == StepInsert || e.Step == StepRemove }
