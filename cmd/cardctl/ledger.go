package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

func newLedgerCmd(env *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Keep track of cards, their holders, certificates and PUKs",
		Long: `Keep track of cards: who has which, with which certificates until when, and the
PINs, PUKs and management keys that were generated for them, sealed.

--ledger is the address of the ledger: sqlite:FILE or postgres://USER@HOST/NAME.
Without it, and without CARDCTL_LEDGER, these commands use ledger.db in the
state directory. Commands that change a card write what they do to the ledger
that --ledger or CARDCTL_LEDGER names.`,
		Example: `  cardctl ledger list --expiring 30d
  cardctl ledger show floppy@example.com
  cardctl ledger mark FFFE12345678 lost
  cardctl ledger report --out desk.html`,
		Args: typed.KnownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newLedgerListCmd(env), newLedgerShowCmd(env), newLedgerMarkCmd(env), newLedgerRevealCmd(env), newLedgerLettersCmd(env),
		newLedgerReportCmd(env), newLedgerExportCmd(env), newLedgerImportCmd(env), newLedgerSignCmd(env), newLedgerVerifyCmd(env),
		newLedgerBackupCmd(env), newLedgerMigrateCmd(env), newLedgerResealCmd(env), newLedgerForgetCmd(env),
	)
	return cmd
}

// ledgerName is the file of a ledger that was not named, in the state directory.
const ledgerName = "ledger.db"

// ledgerAddress is the ledger that is named, or else the one in the state directory.
func (env *session) ledgerAddress() (string, error) {
	if env.flags.ledger != "" {
		return env.flags.ledger, nil
	}
	dir, err := env.stateDir()
	return "sqlite:" + filepath.Join(dir, ledgerName), err
}

// ledgerOptions are what a ledger is told of this run.
func (env *session) ledgerOptions() (o ledger.Options, err error) {
	if o.Spool, err = env.stateOf("ledger-spool"); err != nil {
		return o, err
	}
	resolver := env.resolver()
	if resolver.Sources[secret.LedgerPassword], err = env.flags.ledgerPassword.Source(secret.LedgerPassword); err != nil {
		return o, err
	}
	o.Now = env.Now
	o.Station, _ = os.Hostname() // one without a name has none in the ledger
	o.Password = func(ctx context.Context) (*secret.Bytes, error) {
		return resolver.Ask(ctx, secret.Request{Name: secret.LedgerPassword, Label: "password of the ledger", Optional: true})
	}
	return o, nil
}

// openLedger opens the ledger, to be read, or created, as the options say.
func (env *session) openLedger(ctx context.Context, use ledger.Options) (*ledger.Ledger, error) {
	address, err := env.ledgerAddress()
	if err != nil {
		return nil, err
	}
	o, err := env.ledgerOptions()
	if err != nil {
		return nil, err
	}
	o.ReadOnly, o.Create = use.ReadOnly, use.Create
	return ledger.Open(ctx, address, o)
}

// withLedger opens the ledger, and closes it after work.
func (env *session) withLedger(ctx context.Context, use ledger.Options, work func(*ledger.Ledger) error) error {
	l, err := env.openLedger(ctx, use)
	if err != nil {
		return err
	}
	return errors.Join(work(l), l.Close())
}
