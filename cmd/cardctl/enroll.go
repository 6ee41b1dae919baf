package main

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/enroll"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

// enrolmentFlags are those of enroll and renew.
type enrolmentFlags struct {
	key       string
	options   enroll.Options
	ca        string
	issuer    issuerFlags
	publicKey string
	chuid     chuidFlags
	secrets   secretFlags
}

func newEnrollCmd(env *session) *cobra.Command {
	var o enrolmentFlags
	cmd := &cobra.Command{
		Use:   "enroll --key REF --subject DN --issuer URL",
		Short: "Get a certificate for a key, and write it to the card",
		Long: `Create a request, which the card signs, have an issuer certify it, check what
comes back, and write it to the card.

` + output.Wrapped("Issuers are "+strings.Join(enroll.Schemes(), ":, ")+":.") + `

A certificate with an alternative name that was not asked for is refused; with
another subject it needs --accept-names. If the issuer takes its time, the
request is remembered: type the same command again later.`,
		Example: `  cardctl enroll --key OPENPGP.3 --subject CN=me \
      --issuer 'ca:desk-ca?profile=client'
  cardctl enroll --key OPENPGP.3 --subject CN=me --dry-run \
      --issuer 'command:sign-request'`,
		Args: typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), env) },
	}
	o.add(cmd)
	flags := cmd.Flags()
	namesFlags(flags, &o.options.Names)
	flags.StringVar(&o.options.SID, "sid", "", "security `identifier` of a Windows account: S-1-…")
	flags.IntVar(&o.options.Days, "days", 0, "validity in `days`, where the issuer lets it be chosen")
	flags.StringVar(&o.options.Issuer, "issuer", "", "`URL` of the issuer")
	return cmd
}

func (o *enrolmentFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	keyFlag(flags, &o.key)
	flags.StringVar(&o.ca, "issuer-ca", "", "`file` with the CA that the issuer has to be, or be certified by")
	flags.StringVar(&o.options.IssuerKey, "issuer-key", "", "`reference` of the officer's key, where the issuer asks for one")
	flags.BoolVar(&o.options.AcceptNames, "accept-names", false, "take a certificate with another subject than asked for")
	flags.BoolVar(&o.options.AskAnew, "ask-anew", false, "forget an earlier request that was not answered")
	flags.BoolVar(&o.options.DryRun, "dry-run", false, "show what would be asked for, and from whom")
	publicKeyFlag(flags, &o.publicKey)
	o.chuid.add(cmd)
	o.issuer.add(cmd, &o.secrets)
	o.secrets.add(flags, secret.PIN, "user PIN")
	o.secrets.addManagementKey(flags)
	o.secrets.add(flags, secret.AdminPIN, "admin PIN")
	o.secrets.addLastTry(flags)
}

// namesFlags are about whom a certificate is for.
func namesFlags(flags *pflag.FlagSet, r *csr.Options) {
	flags.StringVar(&r.Subject, "subject", "", "distinguished `name`, RFC 4514 or /C=…/CN=…")
	flags.StringArrayVar(&r.Emails, "email", nil, "mail `address` for subjectAltName, repeatable")
	flags.StringArrayVar(&r.DNS, "dns", nil, "host `name` for subjectAltName, repeatable")
	flags.StringArrayVar(&r.IPs, "ip", nil, "IP `address` for subjectAltName, repeatable")
	flags.StringArrayVar(&r.URIs, "uri", nil, "`URI` for subjectAltName, repeatable")
	flags.StringArrayVar(&r.UPNs, "upn", nil, "user principal `name` for subjectAltName, repeatable")
	flags.StringSliceVar(&r.KeyUsage, "key-usage", nil, "key usages by `name`: digitalSignature,…")
	flags.StringSliceVar(&r.ExtKeyUsage, "ext-key-usage", nil, "extended key usages by `name` or OID: clientAuth,…")
	flags.StringArrayVar(&r.Extensions, "extension", nil, "additional extension, `OID=HEX` or OID=critical,HEX")
	flags.StringVar(&r.Digest, "digest", "", "signature `digest`: sha256, sha384 or sha512")
	flags.BoolVar(&r.PSS, "pss", false, "sign with RSASSA-PSS")
}

func (o *enrolmentFlags) run(ctx context.Context, env *session) error {
	ref, access, err := env.parseKeyAccess(ctx, o.key, &o.secrets)
	if err != nil {
		return err
	}
	if err := env.readPublicKey(ctx, o.publicKey, &access); err != nil {
		return err
	}
	if err := o.read(ctx, env, access); err != nil {
		return err
	}
	report, err := enroll.Enroll(ctx, env.desk(), access, ref, o.options)
	if err != nil {
		return err
	}
	for _, what := range report.Dropped {
		env.note("The request asked for this in vain: %s", what)
	}
	for _, what := range slices.Concat(report.Notes, report.Differences) {
		env.note("%s", what)
	}
	return env.result("CertificateEnrolled", report, func(s *output.Sheet) { enrolledText(s, &report, env.Now()) })
}

// read reads what does not need the card.
func (o *enrolmentFlags) read(ctx context.Context, env *session, a desk.Access) (err error) {
	o.options.Identifier, o.options.Now = o.chuid.renewal(), env.Now()
	o.options.IssuerDesk = o.issuer.desk(env)
	o.options.Roots, err = env.readCertificates(ctx, o.ca, a.Ask)
	return err
}

func enrolledText(s *output.Sheet, r *enroll.Report, now time.Time) {
	switch {
	case r.Plan != nil:
		s.Heading("Would ask for a certificate of " + r.Ref + " in " + r.Reader)
		s.Field("issuer", r.Issuer)
		s.Field("subject", r.Plan.Subject)
		s.Field("names", strings.Join(r.Plan.Names, ", "))
		s.Field("key", r.Plan.Algorithm)
	case r.NotDue:
		s.Heading("The certificate of " + r.Ref + " in " + r.Reader + " is not due")
		r.Certificate.Text(s, now)
	default:
		importedText(s, &r.Report, now)
	}
}
