package main

import (
	"cmp"
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

func newLedgerForgetCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:   "forget PERSON",
		Short: "Delete what the ledger has of a person",
		Long: `Delete ID, name, subjects and certificates of a person. The log names persons by
a number of the ledger only, so its chain stays whole. Backups are not changed.`,
		Example: "  cardctl ledger forget floppy@example.com --yes",
		Args:    typed.OneArg("the ID of the person"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runLedgerForget(cmd.Context(), env, args[0]) },
	}
}

func runLedgerForget(ctx context.Context, env *session, id string) error {
	return env.withLedger(ctx, ledger.Options{}, func(l *ledger.Ledger) error {
		if person, err := l.Person(ctx, id); err != nil || person == nil {
			return cmp.Or(err, ledger.Unknown())
		}
		question := advice.Question{Deed: "Delete", Subject: "what the ledger has of " + id, Lost: "Who had which card, and its certificates, cannot be found out afterwards."}
		if err := env.confirm(ctx, desk.Question{Question: question}); err != nil {
			return err
		}
		if err := l.Forget(ctx, id); err != nil {
			return err
		}
		document := struct {
			Person string `json:"person"`
		}{id}
		return env.result("PersonForgotten", document, func(s *output.Sheet) { s.Heading("Forgot " + id) })
	})
}
