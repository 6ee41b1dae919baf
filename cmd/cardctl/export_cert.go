package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type exportCertOptions struct {
	key     string
	file    exportFlags
	secrets secretFlags
}

func newExportCertCmd(env *session) *cobra.Command {
	var o exportCertOptions
	cmd := &cobra.Command{
		Use:   "export-cert --key REF",
		Short: "Export the certificate of a key",
		Example: `  cardctl export-cert --key OPENPGP.3 | openssl x509 -noout -text
  cardctl export-cert --key OPENPGP.3 --format der --out floppy.crt`,
		Args: typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runExportCert(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.key)
	o.file.add(flags, "pem", "der")
	o.secrets.add(flags, secret.PIN, "user PIN, for a token that shows nothing before login")
	o.secrets.addLastTry(flags)
	return cmd
}

type exportCertReport struct {
	certstore.Stored
	exported
}

func runExportCert(ctx context.Context, env *session, o *exportCertOptions) error {
	ref, access, err := env.parseKeyAccess(ctx, o.key, &o.secrets)
	if err != nil {
		return err
	}
	if err := o.file.check(); err != nil {
		return err
	}
	stored, der, err := certstore.Export(ctx, env.desk(), access, ref)
	if err != nil {
		return err
	}
	report := exportCertReport{stored, exported{DER: der, PEM: string(certstore.EncodePEM(der))}}
	return o.file.write(ctx, env, "Certificate", &report.exported, &report)
}
