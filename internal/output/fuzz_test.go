package output

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
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
		var document bytes.Buffer
		if err := WriteDocument(&document, "K", map[string]string{"v": value}); err != nil {
			t.Fatal(err)
		}
		var back struct{ V string }
		if err := json.Unmarshal(document.Bytes(), &back); err != nil || back.V != strings.ToValidUTF8(value, "\ufffd") && utf8.ValidString(value) {
			t.Fatalf("%q becomes %q, %v", value, back.V, err)
		}
		for _, r := range strings.TrimSuffix(document.String(), "\n") + strings.ReplaceAll(Lines(value), "\n", "") {
			if !unicode.IsPrint(r) {
				t.Fatalf("%q: %q", value, document.String())
			}
		}
	})
}
