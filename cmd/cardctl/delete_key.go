package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type deleteKeyOptions struct {
	key         string
	fingerprint string
	secrets     secretFlags
}

func newDeleteKeyCmd(env *session) *cobra.Command {
	var o deleteKeyOptions
	cmd := &cobra.Command{
		Use:   "delete-key --key REF --fingerprint FP",
		Short: "Delete a private key permanently",
		Long: `Delete a private key, if the card or token can do that. Give the key's
fingerprint, as shown by info and gen-key, so that no other key is deleted.
cardctl asks for confirmation unless you add --yes.`,
		Example: `  cardctl delete-key --key 'pkcs11:token=desk;object=vpn' --module softhsm2 \
  --fingerprint 5F9C34EE8A72B1D00E6A41F3C27D98B65F9C34EE8A72B1D00E6A41F3C27D98B6`,
		Args: typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runDeleteKey(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.key)
	flags.StringVar(&o.fingerprint, "fingerprint", "", "`fingerprint` of the key to delete")
	o.secrets.addManagementKey(flags)
	o.secrets.add(flags, secret.PIN, "user PIN")
	o.secrets.addLastTry(flags)
	_ = cmd.MarkFlagRequired("fingerprint")
	return cmd
}

func runDeleteKey(ctx context.Context, env *session, o *deleteKeyOptions) error {
	ref, access, err := env.parseKeyAccess(ctx, o.key, &o.secrets)
	if err != nil {
		return err
	}
	var report keyReport
	if report.Report, err = keygen.Delete(ctx, env.desk(), access, ref, o.fingerprint); err != nil {
		return err
	}
	return env.result("KeyDeleted", report, func(s *output.Sheet) { report.text(env, s, "Deleted the key ") })
}
