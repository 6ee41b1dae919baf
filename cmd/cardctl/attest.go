package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/attest"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type attestOptions struct {
	key, ca, out string
	secrets      secretFlags
}

func newAttestCmd(env *session) *cobra.Command {
	var o attestOptions
	cmd := &cobra.Command{
		Use:   "attest --key REF",
		Short: "Show and check the card's statement about a key",
		Long: `Have the card make a signed statement that it generated a key, and check it:
the signature, the key, the serial, firmware and policies. With --ca, cardctl
also checks that the statement chains to the CA of the card's maker. Without it,
the statement is checked up to the card's own attestation certificate, which
anybody could have made.

An OpenPGP card needs the user PIN for a statement, and writes it over the
certificate of the key. With the admin PIN, cardctl puts the certificate back.
Without it, cardctl asks for confirmation unless you add --yes, and keeps the
certificate in a file.`,
		Example: `  cardctl attest --key PIV.9A
  cardctl attest --key PIV.9A --ca maker.pem --out statement.pem
  cardctl attest --key OPENPGP.3 --admin-pin env:ADMIN_PIN`,
		Args: typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runAttest(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.key)
	flags.StringVar(&o.ca, "ca", "", "`file` with the CA certificates of the card's maker, in any order")
	flags.StringVar(&o.out, "out", "", "write the statement and the certificates above it to `file`, in PEM")
	o.secrets.add(flags, secret.PIN, "user PIN of an OpenPGP card")
	o.secrets.add(flags, secret.AdminPIN, "admin PIN of an OpenPGP card, to put the certificate of the key back")
	o.secrets.addLastTry(flags)
	return cmd
}

// runAttest reads the file before it looks at the card.
func runAttest(ctx context.Context, env *session, o *attestOptions) error {
	ref, access, err := env.parseKeyAccess(ctx, o.key, &o.secrets)
	if err != nil {
		return err
	}
	roots, err := env.readCertificates(ctx, o.ca, access.Ask)
	if err != nil {
		return err
	}
	report, err := attest.Attest(ctx, env.desk(), access, ref, attest.Options{CA: roots, Now: env.Now()})
	if err != nil {
		return err
	}
	if o.out != "" {
		if err := env.writeFile(ctx, o.out, []byte(report.PEM)); err != nil {
			return problem.Wrap(problem.Failed, err, "cannot write "+o.out)
		}
		env.note("written to %s", o.out)
	}
	return env.result("KeyAttestation", report, func(s *output.Sheet) { attestedText(s, &report) })
}

func attestedText(s *output.Sheet, r *attest.Report) {
	s.Heading("Statement about " + r.Ref + " in " + r.Reader)
	s.Field("algorithm", string(r.Algorithm))
	s.Field("fingerprint", r.Fingerprint)
	s.Field("origin", r.Origin)
	for _, x := range r.Extensions {
		name, value := x.Name, x.Value
		if name == "" {
			name = x.OID
		}
		if value == "" {
			value = x.Hex
		}
		s.Field(name, value)
	}
	s.Field("signed by", r.Issuer)
	if !r.KeyCompared {
		s.Field("key", "only the statement shows it: this card does not report it elsewhere")
	}
	if r.Trusted {
		s.Field("chains to", r.Root)
	} else {
		s.Field("checked", "up to the card's own certificate only; --ca checks who made the card")
	}
	if place := r.Certificate; place != nil {
		s.Field("certificate", place.Words())
	}
}
