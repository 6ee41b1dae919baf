package main

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

// theWay is what somebody sees who does not know where to begin.
const theWay = `cardctl: from a blank card to a certificate that works

  cardctl list-readers                      list the connected cards
  cardctl init                              erase one and set its first PINs
  cardctl gen-key --key OPENPGP.3           generate a key on it
  cardctl gen-csr --key OPENPGP.3 --subject CN=me --out me.csr
                                            request a certificate; a CA signs it
  cardctl import-cert --key OPENPGP.3 me.pem
                                            import the certificate
  cardctl info                              show what is on it now
  cardctl smoke-test --key OPENPGP.3 --tls  use it as a browser would

OPENPGP.3 is the authentication key, for TLS and SSH. OPENPGP.1 is the signature
key, OPENPGP.2 the decryption key.

No card? Run cardctl sim create desk, and add --reader sim:desk to the above.
For smoke-test, run cardctl sim attach desk in another terminal, and omit
--reader.
All commands: cardctl --help. If something does not work: cardctl doctor.
`

// run is the whole program but for the process around it.
func run(ctx context.Context, world *Env, args []string) int {
	env := newSession(world)
	root := newRootCmd(env)
	env.line.Words, env.line.About = args, root
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
		Short: "Set up smart cards from the command line",
		Long: `cardctl sets up smart cards from the command line: from a blank card to a
certificate that works in your browser, VPN and mail program.

The keys of an OpenPGP card are OPENPGP.1 for signatures, OPENPGP.2 for
decryption and OPENPGP.3 for authentication (TLS, SSH). The manual page
cardctl-key-references(7) has the names of keys on other cards.

Never pass a secret itself. Flags such as --pin accept its source: env:NAME,
file:PATH, fd:N, stdin, command:CMD, pinentry or prompt. Without the flag,
cardctl reads a variable such as CARDCTL_PIN. If that is not set, it prompts on
the terminal. The manual page cardctl-secrets(7) lists the flags and variables.

The variables CARDCTL_READER, CARDCTL_SERIAL, CARDCTL_MODULE and CARDCTL_OUTPUT
replace --reader, --serial, --module and --output. CARDCTL_STATE_DIR is the
directory for simulated cards, and for a list of Java cards that rejected card
keys. Its default is ~/.local/state/cardctl.

Results go to stdout, everything else to stderr. The last line of an error,
"Try:", suggests what to type next. With --output json, an error has the fields
code, exit, message and hint.`,
		Example: `  # With a card in a reader
  cardctl list-readers
  cardctl init
  cardctl gen-key --key OPENPGP.3
  cardctl gen-csr --key OPENPGP.3 --subject CN=me --out me.csr
  # Your CA signs me.csr and sends back me.pem
  cardctl import-cert --key OPENPGP.3 me.pem
  cardctl smoke-test --key OPENPGP.3 --tls

  # Without a card; sim attach runs until you press Ctrl-C
  cardctl sim create desk
  cardctl sim attach desk

  # If something does not work
  cardctl doctor`,
		Args: typed.KnownCommand,
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
	root.SetUsageTemplate(strings.NewReplacer(
		".FlagUsages ", fmt.Sprintf(".FlagUsagesWrapped %d ", output.Width), " for more information about a command.", " for more about a command.",
	).Replace(root.UsageTemplate()))
	root.SetIn(env.In)
	root.SetOut(env.Out)
	root.SetErr(env.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		env.line.About = cmd
		if cmd.HasSubCommands() && len(cmd.Flags().Args()) > 0 {
			return typed.KnownCommand(cmd, cmd.Flags().Args()) // its flags are unknown because it is
		}
		return typed.Mistake(cmd, err)
	})
	env.flags.add(root.PersistentFlags())
	root.PersistentFlags().BoolP("help", "h", false, "show the help of the command, like cardctl help COMMAND")
	root.Flags().BoolVar(&showVersion, "version", false, "show the version, like cardctl version")
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
		env.line.About = cmd
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
		newSetHolderCmd(env),
		newSetManagementKeyCmd(env),
		newGenKeyCmd(env),
		newImportKeyCmd(env),
		newGenCSRCmd(env),
		newImportCertCmd(env),
		newEnrollCmd(env),
		newProvisionCmd(env),
		newRenewCmd(env),
		newExportCertCmd(env),
		newExportKeyCmd(env),
		newDeleteCertCmd(env),
		newDeleteKeyCmd(env),
		newMoveKeyCmd(env),
		newAttestCmd(env),
		newSetTouchCmd(env),
		newSmokeTestCmd(env),
		newSetupCmd(env),
		newOpenVPNCmd(env),
		newCACmd(env),
		newLedgerCmd(env),
		newAppletCmd(env),
		newSimCmd(env),
		newAgentCmd(env),
		newDoctorCmd(env),
		newCompletionCmd(env),
		newVersionCmd(env),
	}
}
