package secret

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

// FuzzReadLine reads one secret after the other from a stream: nothing is
// lost, and nothing of the next is taken.
func FuzzReadLine(f *testing.F) {
	for _, seed := range []string{"123456\n", "a\r\nb", "\n\n", "", "\r", strings.Repeat("x", MaxLength+3), "a\x00b\n"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		r := bytes.NewReader(text)
		for {
			before := text[len(text)-r.Len():]
			s, err := readLine(r)
			if err != nil {
				if !problem.Is(err, problem.Usage) {
					t.Errorf("%q: %v", before, err)
				}
				return
			}
			if len(s) > MaxLength+3 || !bytes.HasPrefix(before, s) {
				t.Fatalf("%q is read as %q", before, s)
			}
			if ends := bytes.Count(s, []byte{'\n'}); ends > 1 || ends == 0 && len(s) < len(before) {
				t.Fatalf("%q is no line of %q", s, before)
			}
		}
	})
}
