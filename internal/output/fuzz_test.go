package output

import (
	"strings"
	"testing"
	"unicode"
)

// FuzzSheet prints texts that came from a card: they make no lines of their own
// and move no cursor.
func FuzzSheet(f *testing.F) {
	for _, seed := range []string{"desk", "a\x1b[2Jb", "\xff\n\r\t", "a, b; c", strings.Repeat("long ", 40), "\u202e", ""} {
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, label, value string) {
		var s Sheet
		s.Heading(value)
		s.Field("label", value)
		s.Table([]string{"one", "two"}, []string{label, value})
		var b strings.Builder
		if _, err := s.WriteTo(&b); err != nil {
			t.Fatal(err)
		}
		for _, r := range b.String() + Line(value) {
			if r != '\n' && !unicode.IsPrint(r) {
				t.Fatalf("%q, %q: %q", label, value, b.String())
			}
		}
		if strings.Contains(Line(value), "\n") {
			t.Errorf("%q", Line(value))
		}
	})
}
