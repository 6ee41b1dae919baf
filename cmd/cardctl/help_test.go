package main

import (
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/output"
)

// mostWords is the length of the longest sentence of help.
const mostWords = 30

// sentences are those of a command's help, and of what its flags are for. The lines
// of a list are none.
func sentences(cmd *cobra.Command) []string {
	texts := []string{cmd.Short, cmd.Long}
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { texts = append(texts, f.Usage) })
	return regexp.MustCompile(`[.?!]\s|\n\n|\n? {4}`).Split(strings.Join(texts, "\n\n"), -1)
}

// TestHelpFits wants no line of help that a terminal of 80 columns breaks, no long
// sentence, and an example with each command.
func TestHelpFits(t *testing.T) {
	var look func(cmd *cobra.Command)
	look = func(cmd *cobra.Command) {
		help := cmd.Long + "\n\n" + cmd.UsageString()
		for line := range strings.Lines(help) {
			if width := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); width > output.Width {
				t.Errorf("%s: %d columns: %s", cmd.CommandPath(), width, line)
			}
		}
		if cmd.Example == "" {
			t.Errorf("%s has no example", cmd.CommandPath())
		}
		for _, sentence := range sentences(cmd) {
			if words := len(strings.Fields(sentence)); words > mostWords {
				t.Errorf("%s: %d words: %s", cmd.CommandPath(), words, sentence)
			}
		}
		for _, child := range cmd.Commands() {
			look(child)
		}
	}
	look(newRootCmd(newSession(newEnv())))
	for line := range strings.Lines(theWay) {
		if width := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); width > output.Width {
			t.Errorf("%d columns: %s", width, line)
		}
	}
}
