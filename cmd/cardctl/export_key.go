package main

import (
	"context"
	"crypto"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type exportKeyOptions struct {
	key     string
	file    exportFlags
	secrets secretFlags
}

func newExportKeyCmd(env *session) *cobra.Command {
	var o exportKeyOptions
	cmd := &cobra.Command{
		Use:   "export-key --key REF",
		Short: "Export the public part of a key",
		Long:  `Export the public part of a key. The private key never leaves the card.`,
		Example: `  cardctl export-key --key OPENPGP.3
  cardctl export-key --key OPENPGP.3 --format ssh >> ~/.ssh/authorized_keys`,
		Args: typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runExportKey(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.key)
	o.file.add(flags, "pem", "der", "ssh")
	o.secrets.add(flags, secret.PIN, "user PIN, for a token that shows nothing before login")
	o.secrets.addLastTry(flags)
	return cmd
}

type exportKeyReport struct {
	certstore.PublicKey
	exported
}

func runExportKey(ctx context.Context, env *session, o *exportKeyOptions) error {
	ref, access, err := env.parseKeyAccess(ctx, o.key, &o.secrets)
	if err != nil {
		return err
	}
	if err := o.file.check(); err != nil {
		return err
	}
	told, public, err := certstore.ExportKey(ctx, env.desk(), access, ref)
	if err != nil {
		return err
	}
	report := exportKeyReport{PublicKey: told}
	if report.exported, err = o.encode(public, told.Fingerprint); err != nil {
		return err
	}
	return o.file.write(ctx, env, "PublicKey", &report.exported, &report)
}

// encode writes the key in every form it has; the one that is asked for must
// be among them.
func (o *exportKeyOptions) encode(public crypto.PublicKey, comment string) (e exported, err error) {
	if e.DER, err = certstore.ExportPublicKey(public, certstore.DER, ""); err != nil {
		return e, err
	}
	text, err := certstore.ExportPublicKey(public, certstore.PEM, "")
	if err != nil {
		return e, err
	}
	e.PEM = string(text)
	line, err := certstore.ExportPublicKey(public, certstore.SSH, output.Line(comment))
	if problem.Is(err, problem.NotSupported) && o.file.format != string(certstore.SSH) {
		return e, nil
	}
	e.SSH = string(line)
	return e, err
}
