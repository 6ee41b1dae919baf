package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/typed"
)

func newLedgerResealCmd(env *session) *cobra.Command {
	var identity identityFlag
	var to recipientsFlag
	cmd := &cobra.Command{
		Use:   "reseal --identity FILE --to RECIPIENT",
		Short: "Seal all secrets to other recipients",
		Long: `Open all sealed secrets and seal them to other recipients, such as when somebody
leaves or joins the desk. All of them are sealed again, or none. What the former
recipients read before, they know; backups stay sealed to them.`,
		Example: `  cardctl ledger reseal --identity desk.key \
      --to age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p`,
		Args: typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runLedgerReseal(cmd.Context(), env, &identity, &to) },
	}
	identity.add(cmd.Flags())
	to.add(cmd.Flags())
	return cmd
}

func runLedgerReseal(ctx context.Context, env *session, identity *identityFlag, to *recipientsFlag) error {
	if len(to.to) == 0 {
		return problem.New(problem.Usage, "--to is missing").Because("Secrets are sealed to recipients of age.").
			Advise(advice.Repeat(advice.Fill(advice.Target)))
	}
	keys, err := identity.read(ctx, env)
	if err != nil {
		return err
	}
	return env.withLedger(ctx, ledger.Options{}, func(l *ledger.Ledger) error {
		recipients := slices.Compact(slices.Sorted(slices.Values(to.to)))
		sealed, err := l.Reseal(ctx, recipients, env.plugins(ctx), keys...)
		if err != nil {
			return err
		}
		env.warnOfOne(len(recipients))
		document := struct {
			Secrets    int      `json:"secrets"`
			Recipients []string `json:"recipients"`
		}{sealed, recipients}
		return env.result("LedgerResealed", document, func(s *output.Sheet) {
			s.Heading(fmt.Sprintf("Sealed %d secrets to %d recipients", sealed, len(recipients)))
		})
	})
}
