package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

func newCABackupCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:   "backup DIR FILE",
		Short: "Back up the database of a CA",
		Long: `Write the database of a CA to a new file, while others may work with the CA. To
copy DIR/ca.db itself loses what is not in that file yet. To restore, delete
ca.db-wal and ca.db-shm in DIR, and put FILE there as ca.db. Keep ca.pem and
ca.key as well: they are not in FILE.`,
		Example: "  cardctl ca backup desk-ca backup.db",
		Args:    typed.Args(2, 2, "the directory of the CA, and the new file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCABackup(cmd.Context(), env, args[0], args[1])
		},
	}
}

func runCABackup(ctx context.Context, env *session, dir, file string) error {
	return withCA(ctx, dir, func(c *ca.CA) error {
		if err := c.Backup(ctx, file); err != nil {
			return err
		}
		document := struct {
			File string `json:"file"`
		}{file}
		return env.result("CABackup", document, func(s *output.Sheet) { s.Heading("Wrote " + file) })
	})
}
