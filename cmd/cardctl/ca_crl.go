package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/typed"
)

type caCRLOptions struct {
	days    int
	file    exportFlags
	secrets secretFlags
}

func newCACRLCmd(env *session) *cobra.Command {
	var o caCRLOptions
	cmd := &cobra.Command{
		Use:   "crl DIR",
		Short: "Sign a list of revoked certificates",
		Long: `Sign a CRL: the list of what is revoked now. Programs that check certificates
fetch it, and need a new one before its days are over.`,
		Example: `  cardctl ca crl desk-ca --days 30 --out desk-ca.crl
  cardctl ca crl desk-ca --days 7 --format der --out desk-ca.crl`,
		Args: typed.OneArg("the directory of the CA"),
		RunE: func(cmd *cobra.Command, args []string) error { return runCACRL(cmd.Context(), env, &o, args[0]) },
	}
	cmd.Flags().IntVar(&o.days, "days", 30, "validity in `days`")
	o.file.add(cmd.Flags(), "pem", "der")
	o.secrets.addCAKey(cmd)
	return cmd
}

type crlReport struct {
	ca.CRL
	exported
}

func runCACRL(ctx context.Context, env *session, o *caCRLOptions, dir string) error {
	if err := o.file.check(); err != nil {
		return err
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	var list ca.CRL
	err = withCA(ctx, dir, func(c *ca.CA) error {
		list, err = c.SignCRL(ctx, env.desk(), access, o.days, env.Now())
		return err
	})
	if err != nil {
		return err
	}
	report := crlReport{list, exported{DER: list.DER, PEM: string(list.PEM())}}
	return o.file.write(ctx, env, "CertificateRevocationList", &report.exported, &report)
}
