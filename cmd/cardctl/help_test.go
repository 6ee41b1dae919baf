package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/output"
)

// TestHelpFits wants no line of help that a terminal of 80 columns breaks, and
// an example with each command.
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
