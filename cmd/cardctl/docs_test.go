package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/typed"
)

var (
	commandSpan = regexp.MustCompile("`(cardctl [^`]+)`")
	commandLine = regexp.MustCompile(`(?m)^(?: {4,}|\t+)(cardctl [^|<>&;\n]+)`)
	metaValue   = regexp.MustCompile(`^[A-Z][A-Z0-9:…-]*$`)
)

// TestDocumentsNameWhatThereIs looks at every command line in the documents,
// those in a sentence included: its command is there, and so are its flags, with
// values that they take. That those in sh blocks do what they say is for
// test/docs.
func TestDocumentsNameWhatThereIs(t *testing.T) {
	seen := 0
	for _, document := range documents(t) {
		text := strings.ReplaceAll(readFile(t, document), "\\\n", " ")
		for _, pattern := range []*regexp.Regexp{commandSpan, commandLine} {
			for _, found := range pattern.FindAllStringSubmatch(text, -1) {
				seen++
				if err := understood(found[1]); err != nil {
					t.Errorf("%s: %s: %v", filepath.Base(document), found[1], err)
				}
			}
		}
	}
	if seen < 100 {
		t.Errorf("only %d command lines found", seen)
	}
}

var relativeLink = regexp.MustCompile(`\]\(([^):#]*)(#[^)]*)?\)`)

// TestLinksOfDocumentsLead follows the links from document to document, and to
// headings in them.
func TestLinksOfDocumentsLead(t *testing.T) {
	for _, document := range documents(t) {
		for _, link := range relativeLink.FindAllStringSubmatch(readFile(t, document), -1) {
			target := document
			if link[1] != "" {
				target = filepath.Join(filepath.Dir(document), link[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: %s leads nowhere", filepath.Base(document), link[0])
			} else if link[2] != "" && !strings.Contains(headings(readFile(t, target)), "\n"+link[2]+"\n") {
				t.Errorf("%s: there is no heading %s in %s", filepath.Base(document), link[2], target)
			}
		}
	}
}

// headings are the anchors of a document, a line each.
func headings(text string) string {
	anchors := "\n"
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			words := strings.ToLower(strings.TrimSpace(strings.TrimLeft(line, "#")))
			anchors += "#" + regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(words, "") + "\n"
		}
	}
	return strings.ReplaceAll(anchors, " ", "-")
}

// documents are all that people read.
func documents(t *testing.T) []string {
	t.Helper()
	list, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(list) == 0 {
		t.Fatalf("%d documents, %v", len(list), err)
	}
	return append(list, "../../README.md", "../../SECURITY.md", "../../CONTRIBUTING.md", "../../CHANGELOG.md")
}

// understood parses a command line as the program does. Words in capitals stand
// for something, and arguments that are left out are no mistake.
func understood(line string) error {
	words := shellWords(line)[1:]
	root := newRootCmd(newSession(newEnv()))
	cmd, rest, err := root.Find(words)
	if err != nil {
		return err
	}
	if cmd.HasSubCommands() {
		for _, word := range rest {
			if !strings.HasPrefix(word, "-") && !metaValue.MatchString(word) {
				return typed.KnownCommand(cmd, []string{word})
			}
		}
	}
	cmd.InitDefaultHelpFlag()
	return parsed(cmd, rest)
}

func parsed(cmd *cobra.Command, words []string) error {
	var given []string
	for i, word := range words {
		// A flag whose value is left out is named, and not used.
		if last := i == len(words)-1; last && strings.HasPrefix(word, "--") && !strings.Contains(word, "=") {
			if f := cmd.Flag(word[2:]); f != nil && f.NoOptDefVal == "" {
				continue
			}
		}
		given = append(given, word)
	}
	return cmd.ParseFlags(given)
}

// shellWords parts a line as a shell does, as far as documents need it.
func shellWords(line string) []string {
	var words []string
	word, quote, started := "", rune(0), false
	for _, c := range line + " " {
		switch {
		case quote == 0 && (c == '\'' || c == '"'):
			quote, started = c, true
		case quote == c:
			quote = 0
		case quote == 0 && (c == ' ' || c == '\t'):
			if started || word != "" {
				words = append(words, word)
			}
			word, started = "", false
		default:
			word += string(c)
		}
	}
	return words
}
