package typed

import (
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

// A secret may stand in any place of the command line: behind a slip in its flag,
// in the place of a file or a command. So an error about what was typed does not
// repeat it, unless it names something that exists or that the help mentions: it
// names the place.

// leastSecret is the length of the shortest secret that a card takes.
const leastSecret = 4

// fileTypes are the endings of files that a secret does not have.
var fileTypes = []string{
	".pem", ".crt", ".cer", ".der", ".csr", ".req", ".p10", ".p7b", ".p7c", ".p12", ".pfx", ".key", ".pub",
	".txt", ".log", ".json", ".cap", ".ijc", ".gpsh", ".keys",
}

// withPassword is an address with a password, which no error repeats.
var withPassword = regexp.MustCompile(`://[^/?#\s]*:[^/?#\s]*@`)

// repetition decides which words of the command line an error may repeat. nil
// lets it repeat them all.
type repetition struct {
	line  *Line
	known func() map[string]bool // the words of the help
}

// repetition is for an error with this code. Words may be in the wrong place
// while the line is not understood, and where something is not there.
func (l *Line) repetition(code problem.Code) *repetition {
	if l.Run != nil && code != problem.Usage && code != problem.NotFound {
		return nil
	}
	return l.distrust()
}

func (l *Line) distrust() *repetition { return &repetition{l, sync.OnceValue(l.vocabulary)} }

// text is the text with places in place of words.
func (r *repetition) text(text string) string {
	if r == nil {
		return text
	}
	instead := r.places(text)
	longestFirst := func(a, b string) int { return len(b) - len(a) }
	typed := make([]string, 0, len(instead))
	for word := range instead {
		typed = append(typed, word)
	}
	slices.Sort(typed)
	slices.SortStableFunc(typed, longestFirst)
	for _, word := range typed {
		text = replaceWord(text, word, instead[word])
	}
	return text
}

// places are the words of a text that are not to be repeated, and pieces of such
// words, each with what is written in its place.
func (r *repetition) places(text string) map[string]string {
	instead := map[string]string{}
	add := func(word, place string) {
		if utf8.RuneCountInString(word) >= leastSecret && r.allows(word) {
			return // nor is a part of it a secret
		}
		for _, piece := range append(pieces(word), tails(word)...) {
			for _, written := range []string{piece, strings.Trim(strconv.Quote(piece), `"`)} {
				if containsFold(text, written) && !r.allows(piece) {
					instead[written] = place
				}
			}
		}
	}
	for _, word := range r.line.Words {
		add(word, "[not repeated]")
	}
	cmd := r.line.Run
	if cmd == nil {
		return instead
	}
	cmd.Flags().Visit(func(f *pflag.Flag) {
		for _, value := range values(f) {
			add(value, "[value of "+flag(f.Name)+"]")
		}
	})
	for i, word := range r.line.Args {
		add(word, argumentName(cmd, i))
	}
	return instead
}

// allows reports whether a word is no secret: too short for one, part of the
// help, the name of something that is there, or of the key that is worked on.
func (r *repetition) allows(word string) bool {
	if r == nil || utf8.RuneCountInString(word) < leastSecret || word == r.line.Object {
		return true
	}
	if withPassword.MatchString(word) {
		return false
	}
	return r.line.isSource(word) || r.line.IsName(word) || r.known()[word] || input.Exists(word) || slices.Contains(fileTypes, strings.ToLower(filepath.Ext(word)))
}

// allowsAll reports whether nothing that was given to a flag is a secret.
func (r *repetition) allowsAll(f *pflag.Flag) bool {
	return !slices.ContainsFunc(values(f), func(value string) bool { return !r.allows(value) })
}

func containsFold(text, part string) bool {
	return strings.Contains(strings.ToLower(text), strings.ToLower(part))
}

// vocabulary are the words that the help of the command mentions, the names of all
// commands, and the words of the program.
func (l *Line) vocabulary() map[string]bool {
	var text strings.Builder
	add := func(words ...string) { text.WriteString(strings.Join(words, " ") + " ") }
	cmd := l.About
	add(cmd.CommandPath(), cmd.Use, cmd.Long, cmd.Example)
	add(cmd.ValidArgs...)
	add(l.Vocabulary...)
	cmd.InheritedFlags() // makes Flags complete
	cmd.Flags().VisitAll(func(f *pflag.Flag) { add(flag(f.Name), f.Name, strings.ReplaceAll(f.Usage, "`", ""), f.DefValue) })
	for _, parent := range []*cobra.Command{cmd, cmd.Root()} {
		for _, c := range parent.Commands() {
			add(c.Name())
			add(c.Aliases...)
		}
	}
	known := map[string]bool{}
	for word := range strings.FieldsSeq(text.String()) {
		known[word] = true
		for _, piece := range pieces(word) {
			known[piece] = true
		}
	}
	return known
}

// pieces are the parts of a word between what separates a flag from its value,
// and one directory from the next, without dashes of any kind in front.
func pieces(word string) []string {
	parts := strings.FieldsFunc(word, separates)
	for i, part := range parts {
		parts[i] = strings.TrimLeftFunc(part, func(r rune) bool { return unicode.Is(unicode.Pd, r) })
	}
	return parts
}

func separates(r rune) bool {
	return unicode.IsSpace(r) || unicode.IsControl(r) || strings.ContainsRune(`=:/\,;|"'`, r)
}

// tails are a word, and what follows each separator in it: sim:NAME has one NAME,
// whatever that looks like.
func tails(word string) []string {
	all := []string{word}
	for i, r := range word {
		if separates(r) {
			all = append(all, word[i+utf8.RuneLen(r):])
		}
	}
	return all
}

// values are what was given to a flag; secrets have sources of their own.
func values(f *pflag.Flag) []string {
	switch value := f.Value.(type) {
	case *secret.Flag:
		return []string{value.String()}
	case pflag.SliceValue:
		return value.GetSlice()
	}
	if f.Value.Type() == "string" {
		return []string{f.Value.String()}
	}
	return nil // it was read as what it is: a number, a time, yes or no
}

// argumentName is what the usage calls the argument.
func argumentName(cmd *cobra.Command, i int) string {
	var names []string
	words := strings.Fields(cmd.Use)
	for at, word := range words[1:] {
		word, before := strings.Trim(word, "[]"), strings.TrimPrefix(words[at], "[")
		isFlag := func(word string) bool { return strings.HasPrefix(word, "--") }
		if strings.ToUpper(word) == word && !isFlag(word) && (!isFlag(before) || before == "--") { // not the value of a flag
			names = append(names, word)
		}
	}
	if i < len(names) {
		return names[i]
	}
	return "the argument"
}

// replaceWord replaces a word, in quotes or not. One of letters and hyphens is
// replaced where it is not part of a longer one; what %q writes before it is not a part.
func replaceWord(text, word, instead string) string {
	before, after := `()`, `()`
	if strings.IndexFunc(word, func(r rune) bool { return !unicode.IsLetter(r) && r != '-' }) < 0 {
		before, after = `(^|\\[abfnrtv]|[^\pL-])`, `($|[^\pL-])`
	}
	found, err := regexp.Compile(`(?i)` + before + `"?` + regexp.QuoteMeta(word) + `"?` + after)
	if err != nil { // a word that is no UTF-8
		return strings.ReplaceAll(text, word, instead)
	}
	return found.ReplaceAllString(text, "${1}"+strings.ReplaceAll(instead, "$", "$$")+"${2}")
}
