package output

import (
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Width is the number of columns text is laid out for.
const Width = 80

const (
	indent = "  " // of what stands under a heading
	gap    = "  " // between columns
)

// Sheet is text for people: headings with labelled values and tables under
// them. What came from a card cannot move the cursor: control characters are
// shown escaped.
type Sheet struct {
	b strings.Builder
	// fields are the labelled values since the last heading, which are
	// aligned with each other.
	fields []field
}

type field struct {
	label, value string
	whole        bool // the value is in one line, however long it is
	fits         bool // no line is longer than Width, whatever the value is
}

// Heading begins a part.
func (s *Sheet) Heading(text string) {
	s.flush()
	s.line(printable(text))
}

// Gap leaves a line empty.
func (s *Sheet) Gap() {
	s.flush()
	s.b.WriteByte('\n')
}

// Field adds a labelled value under the heading. A value that is too long
// goes on in the next line; an empty one is left out.
func (s *Sheet) Field(label, value string) {
	if value != "" {
		s.fields = append(s.fields, field{label: printable(label), value: printable(value)})
	}
}

// Fits is Field with lines that are never longer than Width. A value with a word that does
// not fit beside the label stands below it.
func (s *Sheet) Fits(label, value string) {
	if value != "" {
		s.fields = append(s.fields, field{label: printable(label), value: printable(value), fits: true})
	}
}

// Whole is Field with a value that is copied, so that it stays in one line.
func (s *Sheet) Whole(label, value string) {
	if value != "" {
		s.fields = append(s.fields, field{label: printable(label), value: printable(value), whole: true})
	}
}

// Verbatim adds lines as they are, indented; an empty text is left out.
func (s *Sheet) Verbatim(text string) {
	s.flush()
	if text == "" {
		return
	}
	for _, line := range strings.Split(strings.TrimSuffix(text, "\n"), "\n") {
		s.line(indent + printable(line))
	}
}

// Table adds rows of columns, the first row being the names of the columns.
func (s *Sheet) Table(rows ...[]string) {
	s.flush()
	var widths []int
	for _, row := range rows {
		for i, cell := range row {
			if i == len(widths) {
				widths = append(widths, 0)
			}
			widths[i] = max(widths[i], utf8.RuneCountInString(printable(cell)))
		}
	}
	for _, row := range rows {
		line := indent
		for i, cell := range row {
			line += pad(printable(cell), widths[i]) + gap
		}
		s.line(line)
	}
}

// WriteTo writes what was laid out.
func (s *Sheet) WriteTo(w io.Writer) (int64, error) {
	s.flush()
	n, err := io.WriteString(w, s.b.String())
	return int64(n), err
}

func (s *Sheet) flush() {
	width := 0
	for _, f := range s.fields {
		width = max(width, utf8.RuneCountInString(f.label))
	}
	left := len(indent) + width + len(gap)
	for _, f := range s.fields {
		label, parts := f.label, []string{f.value}
		switch {
		case f.fits && longest(f.value) > Width-left:
			s.line(indent + f.label)
			for _, part := range fit(f.value, Width-2*len(indent)) {
				s.line(indent + indent + part)
			}
			continue
		case !f.whole:
			parts = wrap(f.value, Width-left)
		}
		for _, part := range parts {
			s.line(indent + pad(label, width) + gap + part)
			label = ""
		}
	}
	s.fields = nil
}

func (s *Sheet) line(text string) {
	s.b.WriteString(strings.TrimRight(text, " "))
	s.b.WriteByte('\n')
}

func pad(s string, width int) string {
	return s + strings.Repeat(" ", max(0, width-utf8.RuneCountInString(s)))
}

// Wrapped is text in lines that are no longer than Width where that is possible.
func Wrapped(text string) string {
	lines := wrap(text, Width)
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " ")
	}
	return strings.Join(lines, "\n")
}

// Fitted is one line of text that may hold anything, in lines that are never longer than
// Width. Those after the first are indented; a word that is too long is cut.
func Fitted(text string) []string {
	lines := fit(Line(text), Width-len(indent))
	for i := range lines {
		if lines[i] = strings.TrimRight(lines[i], " "); i > 0 {
			lines[i] = indent + lines[i]
		}
	}
	return lines
}

// fit is wrap for words that may be longer than width.
func fit(text string, width int) (lines []string) {
	for _, line := range wrap(text, width) {
		rest := []rune(strings.TrimRight(line, " "))
		for len(rest) > width {
			lines, rest = append(lines, string(rest[:width])), rest[width:]
		}
		lines = append(lines, string(rest))
	}
	return lines
}

// longest is how many columns the longest word of text has.
func longest(text string) (columns int) {
	for _, word := range words(text) {
		columns = max(columns, utf8.RuneCountInString(strings.TrimRight(word, " ")))
	}
	return columns
}

// wrap breaks text after a space, a comma or a semicolon, so that no line is longer than
// width where that is possible.
func wrap(text string, width int) []string {
	var lines []string
	line, length := "", 0
	for _, word := range words(text) {
		n := utf8.RuneCountInString(strings.TrimRight(word, " "))
		if length > 0 && length+n > width {
			lines = append(lines, line)
			line, length = "", 0
		}
		line += word
		length += utf8.RuneCountInString(word)
	}
	return append(lines, line)
}

// words cuts text after each run of spaces, each comma and each semicolon.
func words(text string) []string {
	var list []string
	start := 0
	for i := 1; i < len(text); i++ {
		if strings.IndexByte(" ,;", text[i-1]) >= 0 && text[i] != ' ' {
			list = append(list, text[start:i])
			start = i
		}
	}
	return append(list, text[start:])
}

func printable(s string) string {
	if utf8.ValidString(s) && strings.IndexFunc(s, unprintable) < 0 {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if unprintable(r) {
			b.WriteString(strings.Trim(strconv.QuoteRune(r), "'"))
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func unprintable(r rune) bool { return !unicode.IsPrint(r) }

// Lines makes text printable that may hold anything; its lines stay lines.
func Lines(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = printable(line)
	}
	return strings.Join(lines, "\n")
}

// Line makes one printable line of text that may hold anything.
func Line(text string) string {
	return printable(strings.Join(strings.Fields(text), " "))
}

// Command makes one printable line of what is to be typed, in which blanks count.
func Command(text string) string { return printable(strings.ReplaceAll(text, "\n", " ")) }

// Time is how times are shown: RFC 3339 in UTC, empty for the zero time.
func Time(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}
