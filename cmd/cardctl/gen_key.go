package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/secret"
)

type genKeyOptions struct {
	key       string
	algorithm string
	replace   string
	secrets   secretFlags
}

func newGenKeyCmd(env *Env) *cobra.Command {
	var o genKeyOptions
	cmd := &cobra.Command{
		Use:     "gen-key --key REF",
		Aliases: []string{"keygen"},
		Short:   "Make a key on the card",
		Long: `Make a key on the card. A key that is there is not overwritten, unless
--replace names it by its fingerprint.`,
		Example: `  cardctl gen-key --key OPENPGP.3
  cardctl gen-key --key OPENPGP.1 --algorithm rsa2048 --admin-pin env:ADMIN_PIN`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runGenKey(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.key)
	flags.StringVarP(&o.algorithm, "algorithm", "a", "", "`algorithm`; p256 where the card can, else rsa2048")
	replaceFlag(flags, &o.replace)
	o.secrets.add(flags, secret.AdminPIN, "admin PIN")
	o.secrets.addLastTry(flags)
	_ = cmd.RegisterFlagCompletionFunc("key", completeKeys)
	_ = cmd.RegisterFlagCompletionFunc("algorithm", completeAlgorithms)
	return cmd
}

type keyReport struct {
	Reader string `json:"reader"`
	keygen.Report
}

func runGenKey(ctx context.Context, env *Env, o *genKeyOptions) error {
	ref, err := env.parseKey(o.key)
	if err != nil {
		return err
	}
	var algorithm key.Algorithm
	if o.algorithm != "" {
		if algorithm, err = key.ParseAlgorithm(o.algorithm); err != nil {
			return err
		}
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	var report keyReport
	err = env.withKey(ctx, ref, access, func(ctx context.Context, k openKey) error {
		report.Reader = k.place
		report.Report, err = keygen.Generate(ctx, k, keygen.Options{Spec: key.Spec{Algorithm: algorithm}, Replace: o.replace})
		return err
	})
	if err != nil {
		return err
	}
	return env.result("KeyGenerated", report, func(s *output.Sheet) { report.text(s, "Made the key ") })
}

func (r *keyReport) text(s *output.Sheet, done string) {
	s.Heading(done + r.Ref + " in " + r.Reader)
	s.Field("algorithm", string(r.Algorithm))
	s.Field("fingerprint", r.Fingerprint)
	s.Field("keygrip", r.Keygrip)
	s.Field("created", output.Time(r.Created))
	s.Field("replaced", r.Replaced)
	if r.StaleCertificate != "" {
		s.Field("left over", "the certificate of the key before, "+r.StaleCertificate)
	}
}
