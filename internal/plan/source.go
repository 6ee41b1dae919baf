package plan

import (
	"errors"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/cardctl/cardctl/internal/secret"
)

// Patterns of values, which the schema has too.
const (
	patternSource   = `^(env:[A-Za-z_][A-Za-z0-9_]*|file:[\s\S]+|fd:[0-9]{1,4}|stdin|command:[\s\S]+|pinentry|prompt)$`
	patternCount    = `^([4-9]|[1-5][0-9]|6[0-4]) (digits|letters)$` // MinCount to MaxCount
	patternDuration = `^([1-9][0-9]{0,4}d|[1-9][0-9]{0,5}h|[1-9][0-9]{0,7}m|[1-9][0-9]{0,8}s)$`
	patternColumn   = `^[A-Za-z_][A-Za-z0-9_]*$`
)

var errForm = errors.New("another form is expected")

// parseSource reads a source, or one of the words that stand for a known secret.
func parseSource(text string, words []string) (Source, error) {
	if slices.Contains(words, text) {
		return Source{Word: text}, nil
	}
	source, err := secret.ParseSource(text)
	if err == nil && !regexp.MustCompile(patternSource).MatchString(text) {
		err = errForm
	}
	return Source{Source: source}, err
}

// parseGenerate reads "8 digits", or the only word that is allowed.
func parseGenerate(text, only string) (g Generate, err error) {
	switch {
	case only != "" && text == only:
		return Generate{Of: only}, nil
	case only != "" || !regexp.MustCompile(patternCount).MatchString(text):
		return g, errForm
	}
	count, of, _ := strings.Cut(text, " ")
	g.Of = of
	g.Count, err = strconv.Atoi(count)
	return g, err
}

// generated says what can be generated.
func generated(only string) string {
	if only != "" {
		return "it is generated as " + only
	}
	return "it is generated as N digits or N letters, N from " + strconv.Itoa(MinCount) + " to " + strconv.Itoa(MaxCount)
}

// parseDuration reads a number with one unit.
func parseDuration(text string) (time.Duration, error) {
	if !regexp.MustCompile(patternDuration).MatchString(text) {
		return 0, errForm
	}
	units := map[string]time.Duration{"d": 24 * time.Hour, "h": time.Hour, "m": time.Minute, "s": time.Second}
	last := len(text) - 1
	number, err := strconv.Atoi(text[:last])
	return time.Duration(number) * units[text[last:]], err
}
