package cardctl_test

import (
	"regexp"
	"strings"
	"testing"
)

// mostWords is the length of the longest sentence that a person is to read in help,
// an error, a note or a question.
const mostWords = 30

// sentenceEnd is where a sentence, a paragraph or a line of an example ends.
var sentenceEnd = regexp.MustCompile(`[.?!]\s|\n\n|\n {2}`)

func TestSentencesAreShort(t *testing.T) {
	for path, file := range sources(t) {
		if !strings.HasPrefix(path, "cmd/") && !strings.HasPrefix(path, "internal/") {
			continue
		}
		for _, text := range sentences(t, path, file) {
			for _, sentence := range sentenceEnd.Split(text, -1) {
				if words := len(strings.Fields(sentence)); words > mostWords {
					t.Errorf("%s: %d words: %s", path, words, strings.Join(strings.Fields(sentence), " "))
				}
			}
		}
	}
}
