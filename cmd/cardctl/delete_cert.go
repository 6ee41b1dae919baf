package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type deleteCertOptions struct {
	key     string
	chuid   chuidFlags
	secrets secretFlags
}

func newDeleteCertCmd(env *session) *cobra.Command {
	var o deleteCertOptions
	cmd := &cobra.Command{
		Use:     "delete-cert --key REF",
		Short:   "Delete a certificate from the card",
		Example: "  cardctl delete-cert --key OPENPGP.3\n  cardctl delete-cert --key OPENPGP.3 --yes --admin-pin env:ADMIN_PIN",
		Args:    typed.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runDeleteCert(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.key)
	o.chuid.add(cmd)
	o.secrets.addManagementKey(flags)
	o.secrets.add(flags, secret.AdminPIN, "admin PIN")
	o.secrets.add(flags, secret.PIN, "user PIN of a token or a PKCS#15 card")
	o.secrets.addLastTry(flags)
	return cmd
}

func runDeleteCert(ctx context.Context, env *session, o *deleteCertOptions) error {
	ref, access, err := env.parseKeyAccess(ctx, o.key, &o.secrets)
	if err != nil {
		return err
	}
	report, err := certstore.Delete(ctx, env.desk(), access, ref, o.chuid.renewal())
	if err != nil {
		return err
	}
	return env.result("CertificateDeleted", report, func(s *output.Sheet) {
		s.Heading("Deleted the certificate of " + report.Ref + " in " + report.Reader)
		report.Certificate.Text(s, env.Now())
		chuidText(s, report.Identifier)
	})
}
