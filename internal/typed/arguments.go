package typed

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/problem"
)

// NoArgs, OneArg and AtMostOneArg are what a command takes besides flags. What
// was typed is not repeated: it may be a secret in the wrong place.
func NoArgs(cmd *cobra.Command, args []string) error {
	if len(args) > 0 {
		return problem.New(problem.Usage, "unexpected argument").
			Because("%s accepts only flags.%s", cmd.CommandPath(), otherDash(args))
	}
	return nil
}

// OneArg wants one argument, which is what.
func OneArg(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) == 1 && args[0] != "" {
			return nil
		}
		got := strconv.Itoa(len(args))
		if len(args) == 1 {
			got = "an empty one"
		}
		return problem.New(problem.Usage, "expected one argument, got %s", got).
			Because("Expected: %s.%s", what, otherDash(args))
	}
}

// OneArgAndMore wants one argument, which is what, and takes others behind --.
func OneArgAndMore(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if dash := cmd.ArgsLenAtDash(); dash >= 0 {
			args = args[:dash]
		}
		return OneArg(what)(cmd, args)
	}
}

// Args wants from fewest to most arguments, which are what, none of them empty.
func Args(fewest, most int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) >= fewest && len(args) <= most && !slices.Contains(args, "") {
			return nil
		}
		return problem.New(problem.Usage, "expected %s, got %d", countOf(fewest, most), len(args)).
			Because("Expected: %s.%s", what, otherDash(args))
	}
}

func countOf(fewest, most int) string {
	if fewest == most {
		return fmt.Sprintf("%d arguments", most)
	}
	return fmt.Sprintf("%d to %d arguments", fewest, most)
}

// AtMostOneArg takes none, or one, which is what.
func AtMostOneArg(what string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return OneArg(what)(cmd, args)
	}
}

// otherDash explains words that look like flags: programs that write texts make
// other dashes of two hyphens.
func otherDash(args []string) string {
	for _, arg := range args {
		if first, _ := utf8.DecodeRuneInString(arg); first != '-' && unicode.Is(unicode.Pd, first) {
			return " An argument begins with another kind of dash; a flag begins with two hyphens."
		}
	}
	return ""
}

// command is advice to type a command and one more word.
func command(cmd *cobra.Command, word string) advice.Advice {
	return advice.Run(append(strings.Fields(cmd.CommandPath()), word)...)
}

// KnownCommand is for a command that has only other commands under it.
func KnownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	p := problem.New(problem.Usage, "unknown command")
	similar := cmd.SuggestionsFor(args[0])
	if len(similar) == 0 {
		return p.Advise(command(cmd, flag("help")))
	}
	return p.Because("Did you mean %s?", strings.Join(similar, " or ")).Advise(command(cmd, similar[0]))
}
