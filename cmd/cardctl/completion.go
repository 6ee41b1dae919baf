package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/problem"
)

var shells = []string{"bash", "zsh", "fish", "powershell"}

func newCompletionCmd(env *Env) *cobra.Command {
	return &cobra.Command{
		Use:   "completion " + strings.Join(shells, "|"),
		Short: "Write the completion script of a shell",
		Long: `Write the completion script of a shell to stdout.

bash: needs the package bash-completion. fish and zsh: where the shell looks
for completions, see the examples.`,
		Example: `  source <(cardctl completion bash)
  cardctl completion zsh > "${fpath[1]}/_cardctl"
  cardctl completion fish > ~/.config/fish/completions/cardctl.fish`,
		Args:      oneArg("a shell: " + strings.Join(shells, ", ")),
		ValidArgs: shells,
		RunE:      func(cmd *cobra.Command, args []string) error { return runCompletion(env, cmd.Root(), args[0]) },
	}
}

func runCompletion(env *Env, root *cobra.Command, shell string) error {
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
	return problem.New(problem.Usage, "unknown shell %q", shell).
		Because("There are scripts for %s.", strings.Join(shells, ", "))
}

// completeKeys offers the references of keys.
func completeKeys(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return []cobra.Completion{
		cobra.CompletionWithDesc("OPENPGP.1", "signature"),
		cobra.CompletionWithDesc("OPENPGP.2", "decryption"),
		cobra.CompletionWithDesc("OPENPGP.3", "authentication"),
		cobra.CompletionWithDesc("PKCS15.45", "a key of a PKCS#15 card, by its ID"),
	}, cobra.ShellCompDirectiveNoFileComp
}

// completeAlgorithms offers the algorithms of keys.
func completeAlgorithms(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	var names []cobra.Completion
	for _, a := range key.Algorithms() {
		names = append(names, string(a))
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}
