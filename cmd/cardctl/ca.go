package main

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

func newCACmd(env *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "ca",
		Short: "Run a small CA, with its key on a card or in a file",
		Long: `Run a small certification authority: issue and revoke certificates, and sign
lists of what is revoked (CRLs).

DIR is the directory of the CA. It has the certificate of the CA, ca.pem, a
database of what was issued, and the key, encrypted under a password, unless the
key is on a card. With a key on a card, --reader, --serial and --pin are about
that card.`,
		Example: `  cardctl ca init desk-ca --subject 'CN=Desk CA,O=Example' --key OPENPGP.1
  cardctl ca issue desk-ca me.csr --profile client --out me.pem
  cardctl ca revoke desk-ca me.pem --reason superseded
  cardctl ca crl desk-ca --days 30 --out desk-ca.crl`,
		Args: typed.KnownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(
		newCAInitCmd(env), newCAIssueCmd(env), newCARevokeCmd(env), newCAReleaseCmd(env),
		newCACRLCmd(env), newCAOCSPCmd(env), newCAListCmd(env), newCAShowCmd(env), newCARenewCmd(env), newCABackupCmd(env),
		newCAImportCmd(env), newCAExportCmd(env),
	)
	return cmd
}

// addCAKey is for commands that sign with the key of a CA.
func (s *secretFlags) addCAKey(cmd *cobra.Command) {
	s.add(cmd.Flags(), secret.Password, "password of the CA's key in a file")
	s.add(cmd.Flags(), secret.PIN, "user PIN of the card with the CA's key")
	s.addLastTry(cmd.Flags())
}

// withCA opens the CA of a directory, and closes it after work.
func withCA(ctx context.Context, dir string, work func(*ca.CA) error) error {
	c, err := ca.Open(ctx, dir)
	return closed(c, err, work)
}

// readingCA is withCA for work that writes nothing.
func readingCA(ctx context.Context, dir string, work func(*ca.CA) error) error {
	c, err := ca.OpenToRead(ctx, dir)
	return closed(c, err, work)
}

func closed(c *ca.CA, err error, work func(*ca.CA) error) error {
	if err != nil {
		return err
	}
	return errors.Join(work(c), c.Close())
}
