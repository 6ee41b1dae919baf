package main

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/secret"
)

type genKeyOptions struct {
	key       string
	algorithm string
	usage     []string
	label, id string
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
  cardctl gen-key --key OPENPGP.1 --algorithm rsa2048 --admin-pin env:ADMIN_PIN
  cardctl gen-key --key 'pkcs11:token=desk;object=vpn' --module softhsm2 \
      --usage sign`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runGenKey(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.key)
	flags.StringVarP(&o.algorithm, "algorithm", "a", "", "`algorithm`; p256 where the card can, else rsa2048")
	newKeyFlags(flags, &o.usage, &o.label, &o.id)
	replaceFlag(flags, &o.replace)
	o.secrets.add(flags, secret.AdminPIN, "admin PIN")
	o.secrets.add(flags, secret.PIN, "user PIN of a token or a PKCS#15 card")
	o.secrets.addLastTry(flags)
	return cmd
}

type keyReport struct {
	Reader string `json:"reader"`
	keygen.Report
	// Certificate came with an imported key and is on the token too.
	Certificate *certstore.Certificate `json:"certificate,omitempty"`
}

func runGenKey(ctx context.Context, env *Env, o *genKeyOptions) error {
	ref, access, err := env.parseKeyAccess(ctx, o.key, &o.secrets)
	if err != nil {
		return err
	}
	spec, ref, err := newKeySpec(ref, o.usage, o.label, o.id)
	if err != nil {
		return err
	}
	if o.algorithm != "" {
		if spec.Algorithm, err = key.ParseAlgorithm(o.algorithm); err != nil {
			return err
		}
	}
	var report keyReport
	err = env.withKey(ctx, ref, access, func(ctx context.Context, k openKey) error {
		report.Reader = k.place
		report.Report, err = keygen.Generate(ctx, k, keygen.Options{Spec: spec, Replace: o.replace})
		return err
	})
	if err != nil {
		return err
	}
	return env.result("KeyGenerated", report, func(s *output.Sheet) { report.text(s, "Made the key ") })
}

// newKeyFlags are what a new key shall be, made or brought.
func newKeyFlags(flags *pflag.FlagSet, usage *[]string, label, id *string) {
	flags.StringSliceVar(usage, "usage", nil, "what the key is `for`: sign, decrypt, derive")
	flags.StringVar(label, "label", "", "`label` of the key, where it can have one")
	flags.StringVar(id, "id", "", "`ID` of the key in hex, on a PKCS#11 token")
}

func newKeySpec(ref key.Reference, usage []string, label, id string) (key.Spec, key.Reference, error) {
	spec := key.Spec{}
	for _, word := range usage {
		u, err := key.ParseUsage(word)
		if err != nil {
			return spec, ref, err
		}
		spec.Usage = append(spec.Usage, u)
	}
	if ref.Application != key.PKCS11 {
		spec.Label, label = label, ""
	}
	ref, err := key.NameInToken(ref, id, label)
	return spec, ref, err
}

func (r *keyReport) text(s *output.Sheet, done string) {
	s.Heading(done + r.Ref + " in " + r.Reader)
	s.Field("algorithm", string(r.Algorithm))
	s.Field("fingerprint", r.Fingerprint)
	s.Field("keygrip", r.Keygrip)
	if !r.Created.IsZero() {
		s.Field("created", output.Time(r.Created))
	}
	s.Field("replaced", r.Replaced)
	if r.StaleCertificate != "" {
		s.Field("left over", "the certificate of the key before, "+r.StaleCertificate+"; cardctl delete-cert --key "+quoted(r.Ref)+" removes it")
	}
}
