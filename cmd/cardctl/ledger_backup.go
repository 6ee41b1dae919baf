package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

func newLedgerBackupCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:   "backup FILE",
		Short: "Back up the ledger",
		Long: `Write the ledger to a new file, while others may work with it. The file is a
ledger itself, also if the ledger is in PostgreSQL: --ledger sqlite:FILE opens
it. Secrets in it are sealed as they are in the ledger.`,
		Example: "  cardctl ledger backup ledger-backup.db",
		Args:    typed.OneArg("the new file"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runLedgerBackup(cmd.Context(), env, args[0]) },
	}
}

func runLedgerBackup(ctx context.Context, env *session, file string) error {
	return env.withLedger(ctx, ledger.Options{ReadOnly: true}, func(l *ledger.Ledger) error {
		if err := l.Backup(ctx, file); err != nil {
			return err
		}
		document := struct {
			File string `json:"file"`
		}{file}
		return env.result("LedgerBackup", document, func(s *output.Sheet) { s.Heading("Wrote " + file) })
	})
}
