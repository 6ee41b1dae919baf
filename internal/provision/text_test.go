package provision

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cardctl/cardctl/internal/output"
)

// What is told of a card fits the columns, however long the names are.
func TestReportFits(t *testing.T) {
	r := Report{Rows: []Row{{
		Row: 1, Person: "a.person.with.a.long.address@department.example.com", Serial: "D276000124010304FFFE", Reader: "Generic Smart Card Reader 00 00",
		Steps: []Step{{Name: "certificate OPENPGP.3", Result: Done, Detail: strings.Repeat("until a day ", 10), APDUs: 3}},
		Error: strings.Repeat("a long error ", 12),
	}}}
	var s output.Sheet
	r.Text(&s)
	var b strings.Builder
	if _, err := s.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(b.String()) {
		if utf8.RuneCountInString(strings.TrimSuffix(line, "\n")) > output.Width {
			t.Errorf("wider than %d: %q", output.Width, line)
		}
	}
	if !strings.Contains(b.String(), "a.person.with.a.long.address@department.example.com,\nD276000124010304FFFE, ") {
		t.Error(b.String())
	}
}
