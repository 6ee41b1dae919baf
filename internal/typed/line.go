// Package typed is a command line as a person typed it: what a mistake in it means, how
// it is typed again as advice, and which of its words a message may repeat. It knows how
// a command line is written, but no command and no flag: which there are, and what is
// advised after a failure, is left to the program.
package typed

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
)

// Line is a command line, as far as it is understood.
type Line struct {
	*Language
	// Words are all words of the line.
	Words []string
	// About is the command that is run, or that a mistake is about.
	About *cobra.Command
	// Run is the command that is run, and Args are its arguments. It is nil until the
	// line is understood.
	Run  *cobra.Command
	Args []string
	// Object is what the command is run on.
	Object string
}

// Language is what the program calls things.
type Language struct {
	// Actions are the commands that do what advice names.
	Actions map[advice.Action]string
	// CardFlags name a card, or open it, to every command about it; OffCard are the
	// actions that are not about the card that was named.
	CardFlags []string
	OffCard   []advice.Action
	// ThatExist are flags that not every command line uses, whose value names something
	// that exists: what names nothing may be a secret, even if nothing failed for it.
	ThatExist []string
	// Variables stand in for flags that are not given, by the name of the flag.
	Variables map[string]string
	Getenv    func(string) string
	// Vocabulary are words of the program that no help of a command has.
	Vocabulary []string
	// IsName reports whether a word names something that exists, and is no secret.
	IsName func(word string) bool
}

// Command is the name of the command that the line is about, without the program.
func (l *Line) Command() string {
	if l.About == nil {
		return ""
	}
	_, name, _ := strings.Cut(l.About.CommandPath(), " ")
	return name
}

// Given reports whether a flag was typed, and does not come from the environment.
func (l *Line) Given(flag string) bool { return l.Run != nil && l.Run.Flags().Changed(flag) }

// program is its name.
func (l *Line) program() string {
	if l.About == nil {
		return ""
	}
	return l.About.Root().Name()
}
