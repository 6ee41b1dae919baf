package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

// theWay is what somebody sees who does not know where to begin.
const theWay = `cardctl: from a blank card to a certificate that works

  cardctl list-readers                      which cards are there
  cardctl init                              erase one, give it its first PINs
  cardctl gen-key --key OPENPGP.3           make a key on it
  cardctl gen-csr --key OPENPGP.3 --subject CN=me --out me.csr
                                            request a certificate; a CA signs it
  cardctl import-cert --key OPENPGP.3 me.pem
                                            put the certificate on the card
  cardctl info                              see what is on it now
  cardctl smoke-test --key OPENPGP.3 --tls  use it as a browser would

Without a card: cardctl sim create desk, and --reader sim:desk with the above.
All commands: cardctl --help. When something does not work: cardctl doctor.
`

// run is the whole program but for the process around it.
func run(ctx context.Context, world *Env, args []string) int {
	env := newSession(world)
	root := newRootCmd(env)
	env.words, env.about = args, root
	if len(args) > 0 && strings.HasPrefix(args[0], cobra.ShellCompRequestCmd) {
		if !env.completable(args) {
			_, _ = fmt.Fprintf(env.Out, ":%d\n", cobra.ShellCompDirectiveError) // for a shell, which hears no error
			return 0
		}
		env.completeFlags(root) // takes as long as all commands do
	}
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if closing := env.close(); err == nil {
		err = closing // what failed before is more important
	}
	if err == nil {
		return 0
	}
	if !env.started {
		env.flags.output = formatText
		if wantsJSON(args) || env.Getenv(environment["output"]) == formatJSON {
			env.flags.output = formatJSON
		}
	}
	return env.fail(err)
}

func newRootCmd(env *session) *cobra.Command {
	var showVersion bool
	root := &cobra.Command{
		Use:   "cardctl",
		Short: "One tool for the smart-card desk",
		Long: `cardctl takes a smart card from blank to a certificate that works in a browser,
a VPN and a mail program.

Results go to stdout, everything else to stderr. Secrets are never given as a
value: a flag such as --pin takes where it comes from, env:NAME, file:PATH,
fd:N, stdin, command:CMD, pinentry or prompt. Without the flag CARDCTL_PIN is
looked at, CARDCTL_ADMIN_PIN and so on, and then the terminal is asked.

CARDCTL_READER, CARDCTL_SERIAL, CARDCTL_MODULE and CARDCTL_OUTPUT stand in for
the flags of these names. Simulated cards, and the Java cards on which keys
failed, are remembered in CARDCTL_STATE_DIR, else in ~/.local/state/cardctl.`,
		Example: `  cardctl list-readers
  cardctl init
  cardctl gen-key --key OPENPGP.3
  cardctl gen-csr --key OPENPGP.3 --subject CN=me --out me.csr
  cardctl import-cert --key OPENPGP.3 me.pem
  cardctl smoke-test --key OPENPGP.3 --tls
  cardctl doctor`,
		Args: func(cmd *cobra.Command, args []string) error { return knownCommand(cmd, args) },
		RunE: func(*cobra.Command, []string) error {
			if showVersion {
				return runVersion(env)
			}
			_, err := fmt.Fprint(env.Out, theWay)
			return err
		},
		SilenceErrors:     true,
		SilenceUsage:      true,
		CompletionOptions: cobra.CompletionOptions{DisableDefaultCmd: true},
	}
	root.SuggestionsMinimumDistance = 2
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), ".FlagUsages ", fmt.Sprintf(".FlagUsagesWrapped %d ", output.Width)))
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		env.name(cmd)
		return flagProblem(cmd, err)
	})
	env.flags.add(root.PersistentFlags())
	root.Flags().BoolVar(&showVersion, "version", false, "show the version, as cardctl version does")
	root.PersistentPreRunE = env.start
	root.AddCommand(commands(env)...)
	root.SetHelpCommand(newHelpCmd())
	nameOnMistake(env, root)
	return root
}

// nameOnMistake lets errors about arguments, which come before anything runs,
// say which command they are about.
func nameOnMistake(env *session, cmd *cobra.Command) {
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		env.name(cmd)
		return check(cmd, args)
	}
	for _, child := range cmd.Commands() {
		nameOnMistake(env, child)
	}
}

func commands(env *session) []*cobra.Command {
	return []*cobra.Command{
		newListReadersCmd(env),
		newListTokensCmd(env),
		newInfoCmd(env),
		newInitCmd(env),
		newSetPINCmd(env),
		newUnblockPINCmd(env),
		newGenKeyCmd(env),
		newImportKeyCmd(env),
		newGenCSRCmd(env),
		newImportCertCmd(env),
		newExportCertCmd(env),
		newExportKeyCmd(env),
		newDeleteCertCmd(env),
		newDeleteKeyCmd(env),
		newSmokeTestCmd(env),
		newAppletCmd(env),
		newSimCmd(env),
		newDoctorCmd(env),
		newCompletionCmd(env),
		newVersionCmd(env),
	}
}

// knownCommand is for a command that has only other commands under it.
func knownCommand(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	p := problem.New(problem.Usage, "there is no such command")
	similar := cmd.SuggestionsFor(args[0])
	if len(similar) == 0 {
		return p.Because("The commands there are: %s --help.", cmd.CommandPath()).Hint("%s --help", cmd.CommandPath())
	}
	return p.Because("Did you mean %s?", strings.Join(similar, " or ")).Hint("%s %s", cmd.CommandPath(), similar[0])
}
