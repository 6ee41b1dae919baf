//go:build stack

package docs

import (
	"regexp"
	"strings"
	"testing"
)

// A document shows what the commands of an sh block print in a text block behind
// it, with this mark on the line before. "…" stands for text that is left out: in
// a line, or alone in one for lines.
const outputMark = "<!-- output -->"

// block is a fenced sh block, and the lines that the document shows of its output.
type block struct {
	commands []string
	output   []string
}

// blocks are the sh blocks of a document, with their output.
func blocks(t *testing.T, text string) (list []block) {
	t.Helper()
	var inside *[]string
	before := ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case line == "```sh":
			list = append(list, block{})
			inside = &list[len(list)-1].commands
		case line == "```text" && before == outputMark:
			if len(list) == 0 || list[len(list)-1].output != nil {
				t.Fatalf("%s does not follow an sh block of its own", outputMark)
			}
			inside = &list[len(list)-1].output
		case line == "```":
			inside = nil
		case before == outputMark:
			t.Errorf("%s is followed by %q, not by a text block", outputMark, line)
		case inside != nil:
			*inside = append(*inside, line)
		}
		before = line
	}
	return list
}

// notPrinted returns the first line of a document's output that does not come in
// what was printed, in the order of the document.
func notPrinted(shown []string, printed string) string {
	rest := strings.Split(printed, "\n")
	for _, line := range shown {
		pattern := "^" + strings.ReplaceAll(regexp.QuoteMeta(normal(line)), "…", ".*") + "$"
		for found := false; !found; rest = rest[1:] {
			if len(rest) == 0 {
				return line
			}
			found, _ = regexp.MatchString(pattern, normal(rest[0]))
		}
	}
	return ""
}

// differing is what differs from run to run: serials, fingerprints, dates, times and
// numbers of four digits or more.
var differing = regexp.MustCompile(`\d+:\d\d:\d\d|\d{4}-\d\d-\d\d|\b[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2})+\b|\b[0-9A-Fa-f]{4,}\b|\d{4,}`)

// normal is a line without what differs, and with one blank between columns.
func normal(line string) string {
	return strings.Join(strings.Fields(differing.ReplaceAllString(line, "#")), " ")
}

func TestOutputIsCompared(t *testing.T) {
	const printed = "+ cardctl info\nOpenPGP card FFFE07325135 in sim:desk\n  valid 2026-11-28T12:38:58Z\nPINs\n  user   3\n"
	for _, test := range []struct{ shown, missing string }{
		{"OpenPGP card FFFE12345678 in sim:desk\n  valid 2027-01-02T03:04:05Z\n…\n  user     3", ""},
		{"OpenPGP card … in sim:desk\nPINs", ""},
		{"PINs\nOpenPGP card FFFE07325135 in sim:desk", "OpenPGP card FFFE07325135 in sim:desk"},
		{"  user   2", "  user   2"},
		{"OpenPGP card FFFE07325135", "OpenPGP card FFFE07325135"},
	} {
		if missing := notPrinted(strings.Split(test.shown, "\n"), printed); missing != test.missing {
			t.Errorf("%q: %q is missing, want %q", test.shown, missing, test.missing)
		}
	}
}
