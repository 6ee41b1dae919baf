package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

func newLedgerMigrateCmd(env *session) *cobra.Command {
	var backup string
	var stations []string
	cmd := &cobra.Command{
		Use:   "migrate",
		Short: "Create or update the tables of a ledger",
		Long: `Create the tables of a ledger, or bring them up to date after a newer cardctl
was installed. Tables that exist are backed up to a new file first. In
PostgreSQL, only the owner of the database can do this. With --station, a role
gets the rights of a station: it adds to the log, and cannot change it.`,
		Example: "  cardctl ledger migrate --backup ledger-before.db",
		Args:    typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runLedgerMigrate(cmd.Context(), env, backup, stations)
		},
	}
	cmd.Flags().StringVar(&backup, "backup", "", "new `file` for a backup of older tables")
	cmd.Flags().StringArrayVar(&stations, "station", nil, "`role` of PostgreSQL that works as a station, repeatable")
	return cmd
}

func runLedgerMigrate(ctx context.Context, env *session, backup string, stations []string) error {
	address, err := env.ledgerAddress()
	if err != nil {
		return err
	}
	o, err := env.ledgerOptions()
	if err != nil {
		return err
	}
	migrated, err := ledger.Migrate(ctx, address, o, backup)
	if err != nil {
		return err
	}
	if len(stations) > 0 {
		err := env.withLedger(ctx, ledger.Options{}, func(l *ledger.Ledger) error {
			for _, role := range stations {
				if err := l.GrantStation(ctx, role); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	document := struct {
		From     int64    `json:"from"`
		To       int64    `json:"to"`
		Stations []string `json:"stations"`
	}{migrated.From, migrated.To, append([]string{}, stations...)}
	return env.result("LedgerMigrated", document, func(s *output.Sheet) {
		switch {
		case migrated.From == migrated.To:
			s.Heading(fmt.Sprintf("The tables have version %d", migrated.To))
		case migrated.From == 0:
			s.Heading(fmt.Sprintf("Created the tables, version %d", migrated.To))
		default:
			s.Heading(fmt.Sprintf("Brought the tables from version %d to %d", migrated.From, migrated.To))
		}
		for _, role := range stations {
			s.Field("station", role)
		}
	})
}
