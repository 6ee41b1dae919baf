package terminal

import (
	"bytes"
	"testing"
)

// FuzzHiddenLine types arbitrary keys at a question for a PIN.
func FuzzHiddenLine(f *testing.F) {
	for _, seed := range []string{"123456\r", "12\x7f3\n", "ab\x15c\r", "\x1b[A\x1bOP1\r", "\x1b", "\xc3\xa4\x08\r", ""} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, typed []byte) {
		room := make([]byte, 0, 8)
		line := hiddenLine{in: bytes.NewReader(typed), typed: room}
		if err := line.read(); err == nil && bytes.ContainsAny(line.typed, "\r\n\x1b\x15\x08\x7f") {
			t.Errorf("%q gives %q", typed, line.typed)
		}
		if cap(line.typed) != cap(room) {
			t.Error("the line was copied")
		}
		for _, b := range room[len(line.typed):cap(room)] {
			if b != 0 {
				t.Fatalf("%q leaves %q", typed, room[:cap(room)])
			}
		}
		if yes, ok := parseAnswer(string(typed)); yes && !ok {
			t.Errorf("%q is yes, and no answer", typed)
		}
	})
}
