package main

import (
	"context"
	"errors"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/keygen"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type genKeyOptions struct {
	wish    keygen.Wish
	out     string
	secrets secretFlags
}

func newGenKeyCmd(env *session) *cobra.Command {
	var o genKeyOptions
	cmd := &cobra.Command{
		Use:     "gen-key --key REF",
		Aliases: []string{"keygen"},
		Short:   "Generate a key on the card",
		Long: `Generate a key on the card. An existing key is not overwritten unless --replace
names it by its fingerprint. A PIV card needs its management key. If such a card
does not report whether a slot holds a key, --replace unknown allows to write
to it.`,
		Example: `  cardctl gen-key --key OPENPGP.3
  cardctl gen-key --key OPENPGP.1 --algorithm rsa2048 --admin-pin env:ADMIN_PIN
  cardctl gen-key --key 'pkcs11:token=desk;object=vpn' --module softhsm2 \
      --usage sign`,
		Args: typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runGenKey(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.wish.Key)
	flags.StringVarP(&o.wish.Algorithm, "algorithm", "a", "", "key `algorithm` (default p256 if the card supports it, otherwise rsa2048)")
	newKeyFlags(flags, &o.wish)
	flags.StringVar(&o.out, "out", "", "write the public key to `file`, in PEM")
	o.secrets.addManagementKey(flags)
	o.secrets.add(flags, secret.AdminPIN, "admin PIN")
	o.secrets.add(flags, secret.PIN, "user PIN of a token or a PKCS#15 card")
	o.secrets.addLastTry(flags)
	return cmd
}

type keyReport struct {
	keygen.Report
	// Certificate came with an imported key and is on the token too.
	Certificate *certstore.Certificate `json:"certificate,omitempty"`
}

func runGenKey(ctx context.Context, env *session, o *genKeyOptions) error {
	ref, access, err := env.parseKeyAccess(ctx, o.wish.Key, &o.secrets)
	if err != nil {
		return err
	}
	wish := o.wish
	wish.Key = ref
	var report keyReport
	if report.Report, err = keygen.Generate(ctx, env.desk(), access, wish); err != nil {
		return err
	}
	done := "Generated the key "
	if report.Finished {
		done = "Finished the key of an interrupted gen-key, "
	}
	var failed error
	if o.out != "" {
		if failed = env.writeFile(ctx, o.out, []byte(report.PublicKey)); failed != nil {
			failed = problem.Wrap(problem.Failed, failed, "the key is on the card, but its public key was not written to "+o.out)
		}
	}
	err = env.result("KeyGenerated", report, func(s *output.Sheet) {
		report.text(env, s, done)
		if report.Unreported && (o.out == "" || failed != nil) {
			s.Field("public key", "below, because this card does not report it again")
			for line := range strings.Lines(report.PublicKey) {
				s.Heading(strings.TrimSpace(line))
			}
		}
	})
	return errors.Join(failed, err)
}

// newKeyFlags describe a new key, generated or imported.
func newKeyFlags(flags *pflag.FlagSet, w *keygen.Wish) {
	flags.StringSliceVar(&w.Usage, "usage", nil, "key `usage`: "+strings.Join(keygen.Usages(), ", "))
	flags.StringVar(&w.Label, "label", "", "key `label`, if the key can have one")
	flags.StringVar(&w.ID, "id", "", "key `ID` in hex, on a PKCS#11 token")
	flags.StringVar(&w.Replace, "replace", "", "overwrite the key with this `fingerprint`, or unknown for one that a PIV card does not report")
	flags.StringVar(&w.PINPolicy, "pin-policy", "", "when a PIV key needs the PIN: never, once, always")
	flags.StringVar(&w.TouchPolicy, "touch", "", "when a PIV key needs a touch: never, always, cached")
}

func (r *keyReport) text(env *session, s *output.Sheet, done string) {
	s.Heading(done + r.Ref + " in " + r.Reader)
	s.Field("requested", r.Requested)
	s.Field("algorithm", string(r.Algorithm))
	s.Field("fingerprint", r.Fingerprint)
	s.Field("keygrip", r.Keygrip)
	s.Field("also for", strings.Join(r.UnaskedUsage, ", "))
	if r.OnlyPKCS1 {
		s.Field("TLS", "only up to TLS 1.2, and not with OpenSSL, because this card makes no RSA-PSS signatures")
	}
	if !r.Created.IsZero() {
		s.Field("created", output.Time(r.Created))
	}
	s.Field("replaced", r.Replaced)
	s.Field("deleted", r.DeletedCertificate)
	if r.StaleCertificate != "" {
		toDelete := env.line.Worded(advice.Do(advice.DeleteCertificate, advice.Set(advice.Key, r.Ref)))
		s.Field("left over", "the certificate of the previous key, "+r.StaleCertificate+"; to delete it: "+toDelete)
	}
}
