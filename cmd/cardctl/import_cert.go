package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type importCertOptions struct {
	key          string
	chain, ca    string
	publicKey    string
	allowExpired bool
	chuid        chuidFlags
	secrets      secretFlags
}

func newImportCertCmd(env *session) *cobra.Command {
	var o importCertOptions
	cmd := &cobra.Command{
		Use:   "import-cert --key REF FILE",
		Short: "Write an issued certificate to the card",
		Long: `Write a key's certificate to the card and read it back to check it. FILE is PEM,
DER, PKCS#7 or PKCS#12, or - for stdin. If FILE has several certificates, the
one that matches the key is used. A certificate for another key is refused.`,
		Example: `  cardctl import-cert --key OPENPGP.3 floppy.pem
  cardctl import-cert --key OPENPGP.3 --ca ca.pem floppy.pem
  cardctl import-cert --key OPENPGP.3 --admin-pin env:ADMIN_PIN - < floppy.pem`,
		Args: typed.OneArg("the file with the certificate, or - for stdin"),
		RunE: func(cmd *cobra.Command, args []string) error { return runImportCert(cmd.Context(), env, &o, args[0]) },
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.key)
	flags.StringVar(&o.chain, "chain", "", "`file` with the issuer certificates")
	flags.StringVar(&o.ca, "ca", "", "`file` with the CA certificate to verify against")
	flags.BoolVar(&o.allowExpired, "allow-expired", false, "accept a certificate that is expired or not yet valid")
	publicKeyFlag(flags, &o.publicKey)
	o.chuid.add(cmd)
	o.secrets.addManagementKey(flags)
	o.secrets.add(flags, secret.AdminPIN, "admin PIN")
	o.secrets.add(flags, secret.PIN, "user PIN of a token or a PKCS#15 card")
	o.secrets.add(flags, secret.Password, "password of a PKCS#12 file")
	o.secrets.addLastTry(flags)
	return cmd
}

// runImportCert reads all files before it looks at the card.
func runImportCert(ctx context.Context, env *session, o *importCertOptions, file string) error {
	ref, access, err := env.parseKeyAccess(ctx, o.key, &o.secrets)
	if err != nil {
		return err
	}
	if err := oneReader(&o.secrets, file); err != nil {
		return err
	}
	if err := env.readPublicKey(ctx, o.publicKey, &access); err != nil {
		return err
	}
	certificates, err := env.readCertificates(ctx, file, access.Ask)
	if err != nil {
		return err
	}
	chain, err := env.readCertificates(ctx, o.chain, access.Ask)
	if err != nil {
		return err
	}
	roots, err := env.readCertificates(ctx, o.ca, access.Ask)
	if err != nil {
		return err
	}
	report, err := certstore.Import(ctx, env.desk(), access, ref, append(certificates, chain...), certstore.Options{
		Now: env.Now(), AllowExpired: o.allowExpired, Roots: roots,
		Identifier: o.chuid.renewal(),
	})
	if err != nil {
		return err
	}
	return env.result("CertificateImported", report, func(s *output.Sheet) { importedText(s, &report, env.Now()) })
}

func importedText(s *output.Sheet, r *certstore.Report, now time.Time) {
	done := "Wrote the certificate of "
	if r.Unchanged {
		done = "This is already the certificate of "
	}
	s.Heading(done + r.Ref + " in " + r.Reader)
	r.Certificate.Text(s, now)
	if r.Replaced != nil {
		s.Field("replaced", r.Replaced.Subject+r.Replaced.Unreadable)
	}
	chuidText(s, r.Identifier)
	for _, mended := range r.Mended {
		s.Field("mended", mended)
	}
	s.Field("unusual issuer", strings.Join(r.IssuerRemarks, ", "))
	switch {
	case r.ChainStored:
		s.Field("issuers", "also on the card")
	case r.ChainOmitted > 0:
		s.Field("issuers", fmt.Sprintf("%d not stored, because the card has no room: give them to the program that uses the card", r.ChainOmitted))
	}
}

// readCertificates reads a file, or stdin for -; no name is no certificate.
func (env *session) readCertificates(ctx context.Context, file string, ask secret.Asker) ([]*cert.Certificate, error) {
	if file == "" {
		return nil, nil
	}
	data, err := env.readFile(ctx, file, certstore.MaxFile)
	if err != nil {
		return nil, err
	}
	certificates, err := certstore.Parse(ctx, data, ask)
	if err != nil {
		return nil, about(err, file)
	}
	return certificates, nil
}

// about puts the name of a file in front of what is wrong with it, and into the
// advice, which is to check what kind of file it is if there is no other.
func about(err error, file string) error {
	if file == "-" {
		file = "stdin"
	}
	p := problem.Wrap(problem.Failed, err, file)
	for i, word := range p.Next.Program {
		if word == "FILE" {
			p.Next.Program = slices.Concat(p.Next.Program[:i], []string{file}, p.Next.Program[i+1:])
		}
	}
	if p.Code != problem.Mismatch || !p.Next.IsZero() {
		return p
	}
	if file == "stdin" {
		return p.Advise(advice.Do(advice.Help))
	}
	return p.Advise(advice.Run("file", file))
}
