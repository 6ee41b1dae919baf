package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/paper"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/simulate"
	"github.com/cardctl/cardctl/internal/smoke"
	"github.com/cardctl/cardctl/internal/typed"
)

var shells = []string{"bash", "zsh", "fish", "powershell"}

func newCompletionCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "Print a shell completion script",
		Long: `Print the completion script for a shell to stdout.

For bash, install the package bash-completion. For fish and zsh, write the
script to a directory that the shell reads, as in the examples.`,
		Example: `  source <(cardctl completion bash)
  cardctl completion zsh > "${fpath[1]}/_cardctl"
  cardctl completion fish > ~/.config/fish/completions/cardctl.fish`,
		Args:      typed.OneArg("a shell: " + strings.Join(shells, ", ")),
		ValidArgs: shells,
		RunE:      func(cmd *cobra.Command, args []string) error { return runCompletion(env, cmd.Root(), args[0]) },
	}
}

func runCompletion(env *session, root *cobra.Command, shell string) error {
	switch shell {
	case "bash":
		return root.GenBashCompletionV2(env.Out, true)
	case "zsh":
		return root.GenZshCompletion(env.Out)
	case "fish":
		return root.GenFishCompletion(env.Out, true)
	case "powershell":
		return root.GenPowerShellCompletionWithDesc(env.Out)
	}
	return problem.New(problem.Usage, "unknown shell").
		Because("Valid shells: %s.", strings.Join(shells, ", "))
}

// completionTime is how long a shell waits for what is there now.
const completionTime = 3 * time.Second

// choices are what can be meant, as it is now; cmd has the flags that were typed.
type choices func(ctx context.Context, cmd *cobra.Command) ([]choice, error)

// completable reports whether the line before the word to complete can be read, and
// the flag in that word if there is one with a value. Of a line that cannot, cobra
// offers nothing, and repeats it on stderr.
func (env *session) completable(args []string) bool {
	if len(args) < 2 {
		return true
	}
	aside := *env
	root := newRootCmd(&aside)
	cmd, rest, err := root.Find(args[1 : len(args)-1])
	if err != nil {
		return false
	}
	if last := args[len(args)-1]; strings.HasPrefix(last, "-") && strings.Contains(last, "=") {
		rest = append(slices.Clone(rest), last)
	}
	err = cmd.ParseFlags(rest)
	var missing *pflag.ValueRequiredError // it is what the shell asks for
	return err == nil || errors.As(err, &missing)
}

// flagChoices are what flags can be, by their names.
func (env *session) flagChoices() map[string]choices {
	return map[string]choices{
		"reader": env.readerChoices, "serial": env.serialChoices, "module": env.moduleChoices,
		"key": env.keyChoices, "algorithm": env.algorithmChoices, "token": env.tokenChoices,
		"profile": env.profileChoices, "output": words(formatText, formatJSON),
		"app":            words(inventory.Apps()...),
		"usage":          words(keygen.Usages()...),
		"as":             words(smoke.Names()...),
		"digest":         words("sha256", "sha384", "sha512"),
		"privileges":     words(applet.PrivilegeNames()...),
		"secure-channel": words(simulate.SecureChannels()...),
		"state":          words(stateNames()...),
		"secret":         words(ledger.SecretNames()...),
	}
}

// stateNames are the states of cards in a ledger.
func stateNames() (names []string) {
	for _, state := range ledger.States() {
		names = append(names, string(state))
	}
	return names
}

// cardChoices are the cards of the ledger.
func (env *session) cardChoices(ctx context.Context, _ *cobra.Command) ([]choice, error) {
	var cards []ledger.Card
	err := env.withLedger(ctx, ledger.Options{ReadOnly: true}, func(l *ledger.Ledger) (err error) {
		cards, err = l.Cards(ctx, ledger.Filter{})
		return err
	})
	return offer(cards, err, func(c ledger.Card) choice {
		is := string(c.State)
		if c.Person != nil {
			is += ", " + paper.Called(c.Person.Name, c.Person.ID)
		}
		return choice{c.Serial, is}
	})
}

// completeMark offers cards, and then states.
func (env *session) completeMark(cmd *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
	if len(args) == 1 {
		return env.complete(words(stateNames()...))(cmd, args, typed)
	}
	return env.complete(env.cardChoices)(cmd, args, typed)
}

// completeFlags lets the shell offer what the flags of a command can be, and of
// those under it.
func (env *session) completeFlags(cmd *cobra.Command) {
	offered := env.flagChoices()
	cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
		if what := offered[f.Name]; what != nil {
			_ = cmd.RegisterFlagCompletionFunc(f.Name, env.complete(what)) // it fails for flags that are not there
		}
	})
	for _, child := range cmd.Commands() {
		env.completeFlags(child)
	}
}

// complete offers to the shell what begins with what was typed. What cannot be
// looked at now is not offered: there is nobody to tell why.
func (env *session) complete(offered choices) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if env.flags.complete(cmd, env.Getenv) != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		env.flags.quiet = true
		ctx, stop := context.WithTimeout(cmd.Context(), completionTime)
		defer stop()
		found, err := offered(ctx, cmd)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		var completions []cobra.Completion
		for _, c := range found {
			// What cannot be typed is not offered: a card's label may hold anything.
			if c.value == output.Lines(c.value) && !strings.Contains(c.value, "\n") && len(c.value) >= len(typed) && strings.EqualFold(c.value[:len(typed)], typed) {
				completions = append(completions, cobra.CompletionWithDesc(c.value, output.Line(c.is)))
			}
		}
		return completions, cobra.ShellCompDirectiveNoFileComp
	}
}

// words are choices that are always the same.
func words(values ...string) choices {
	return func(context.Context, *cobra.Command) ([]choice, error) {
		return offer(values, nil, func(value string) choice { return choice{value: value} })
	}
}
