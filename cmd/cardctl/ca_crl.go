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
	former  formerFlags
	secrets secretFlags
}

func newCACRLCmd(env *session) *cobra.Command {
	var o caCRLOptions
	cmd := &cobra.Command{
		Use:   "crl DIR",
		Short: "Sign a list of revoked certificates",
		Long: `Sign a CRL: the list of what is revoked now. Programs that check certificates
fetch it, and need a new one before its days are over.

If the CA had another key before, the list in PEM is followed by that of the
former key, as long as certificates of it have not expired. Flags that begin
with --issuer are about that key.`,
		Example: `  cardctl ca crl desk-ca --days 30 --out desk-ca.crl
  cardctl ca crl desk-ca --days 7 --format der --out desk-ca.crl`,
		Args: typed.OneArg("the directory of the CA"),
		RunE: func(cmd *cobra.Command, args []string) error { return runCACRL(cmd.Context(), env, &o, args[0]) },
	}
	cmd.Flags().IntVar(&o.days, "days", 30, "validity in `days`")
	o.file.add(cmd.Flags(), "pem", "der")
	o.former.add(cmd, &o.secrets)
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
		list, err = c.SignCRLs(ctx, env.desk(), access, o.former.of(env, access, dir), o.days, env.Now())
		return err
	})
	if err != nil {
		return err
	}
	if len(list.Former) > 0 && o.file.format == "der" {
		env.note("The list of the former key is not in the file: DER has room for one.")
	}
	report := crlReport{list, exported{DER: list.DER, PEM: string(list.PEM())}}
	return o.file.write(ctx, env, "CertificateRevocationList", &report.exported, &report)
}
