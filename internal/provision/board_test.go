package provision

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// The board has a line for each reader, in their order, no longer than a terminal is wide.
func TestBoard(t *testing.T) {
	var b Board
	b.Hear(Event{Reader: "Reader 2", Step: StepInsert, Left: 3})
	b.Hear(Event{Reader: "Reader 1", Person: "floppy@example.com", Step: "key OPENPGP.3", Left: 2})
	got := b.Hear(Event{Reader: "Reader 2", Person: "bob@example.com", Step: StepDone, Result: string(Done), Left: 1})
	want := []string{"Reader 1: floppy@example.com: key OPENPGP.3", "Reader 2: bob@example.com: done", "1 left"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	got = b.Hear(Event{Reader: "Reader 1", Person: "floppy@example.com", Step: StepDone, Result: string(Failed), Detail: strings.Repeat("ü\x1b[2J", 100)})
	if line := got[0]; utf8.RuneCountInString(line) != boardWidth || strings.Contains(line, "\x1b") || !strings.HasPrefix(line, "Reader 1: FAILED: floppy") {
		t.Errorf("%q", line)
	}
	for step, calls := range map[string]bool{StepInsert: true, StepRemove: true, StepDone: false, "look": false} {
		if (Event{Step: step}).Calls() != calls {
			t.Errorf("%s", step)
		}
	}
}
