package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

// identityFlag is --identity: the file with the private key, or its plugin's name, that
// opens what is sealed in a ledger.
type identityFlag struct{ file string }

func (f *identityFlag) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.file, "identity", "", "`file` with the age identity that opens sealed secrets")
}

// read reads the identities.
func (f *identityFlag) read(ctx context.Context, env *session) (ledger.Keys, error) {
	const longest = 1 << 16
	if f.file == "" {
		return nil, problem.New(problem.Usage, "--identity is missing").
			Because("The secrets are sealed. Only the identity of a recipient opens them.").Advise(advice.Repeat(advice.Fill(advice.Identity)))
	}
	content, err := env.readFile(ctx, f.file, longest)
	if err != nil {
		return nil, err
	}
	defer secret.Wipe(content)
	if f.file != "-" && bytes.Contains(content, []byte("AGE-SECRET-KEY-")) { // that of a plugin is no secret
		if err := secret.OwnersOnly(f.file); err != nil {
			return nil, about(err, f.file)
		}
	}
	keys, err := ledger.Identities(secret.New(content), env.plugins(ctx))
	if err != nil {
		return nil, about(err, f.file)
	}
	return keys, nil
}

// plugins is how plugins of age talk to the person at the terminal.
func (env *session) plugins(ctx context.Context) ledger.UI {
	return ledger.UI{
		Show: func(line string) { env.note("%s", line) },
		Ask: func(prompt string, _ bool) (*secret.Bytes, error) {
			if env.flags.noInput || !env.terminal.Available() {
				return nil, errors.New("nobody can be asked")
			}
			env.progress.Done()
			defer env.working()
			return env.terminal.ReadSecret(ctx, prompt)
		},
	}
}

func newLedgerRevealCmd(env *session) *cobra.Command {
	var identity identityFlag
	var name string
	cmd := &cobra.Command{
		Use:   "reveal SERIAL --secret NAME --identity FILE",
		Short: "Show a sealed secret of a card",
		Long: `Show a PUK, an admin PIN, an SO PIN, a management key or a user PIN that was
generated for a card: the secret alone, on stdout. That it is shown is recorded
first, and the next cardctl provision of the card changes it.

FILE has an identity of age, as age-keygen or a plugin such as
age-plugin-yubikey writes it, of one of the recipients.`,
		Example:           "  cardctl ledger reveal FFFE12345678 --secret puk --identity desk.key",
		ValidArgsFunction: env.complete(env.cardChoices),
		Args:              typed.OneArg("the serial of the card"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runLedgerReveal(cmd.Context(), env, &identity, args[0], name)
		},
	}
	cmd.Flags().StringVar(&name, "secret", "", "`name` of the secret: "+strings.Join(ledger.SecretNames(), ", "))
	identity.add(cmd.Flags())
	return cmd
}

func runLedgerReveal(ctx context.Context, env *session, identity *identityFlag, serial, name string) error {
	if !slices.Contains(ledger.SecretNames(), name) {
		return problem.New(problem.Usage, "which secret?").Because("Valid names: %s.", strings.Join(ledger.SecretNames(), ", ")).
			Advise(advice.Repeat(advice.Set(advice.Secret, string(secret.PUK))))
	}
	keys, err := identity.read(ctx, env)
	if err != nil {
		return err
	}
	return env.withLedger(ctx, ledger.Options{}, func(l *ledger.Ledger) error {
		card, err := l.Card(ctx, serial)
		if err != nil || card == nil {
			return cmp.Or(err, ledger.Unknown())
		}
		value, err := l.Reveal(ctx, serial, ledger.SecretKind(name), keys...)
		if err != nil {
			return err
		}
		defer value.Wipe()
		env.progress.Done()
		if env.flags.output == formatJSON {
			document := struct {
				Serial string `json:"serial"`
				Secret string `json:"secret"`
				Value  string `json:"value"`
			}{card.Serial, name, string(value.Reveal())}
			return notWritten(output.WriteDocument(env.Out, "RevealedSecret", document))
		}
		_, err = fmt.Fprintf(env.Out, "%s\n", value.Reveal())
		return notWritten(err)
	})
}
