package secret

import (
	"bytes"
	"strings"
	"testing"

	"github.com/cardctl/cardctl/internal/problem"
)

// FuzzReadLine reads one secret after the other from a stream: nothing but the
// ends of the lines is lost, and nothing of the next is taken.
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
			line, _, _ := bytes.Cut(before, []byte{'\n'})
			ended := len(line) < len(before)
			if ended {
				line = bytes.TrimSuffix(line, []byte{'\r'})
			}
			if !bytes.Equal(s.Reveal(), line) {
				t.Fatalf("%q is read as %q", before, s.Reveal())
			}
		}
	})
}
