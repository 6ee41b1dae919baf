package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/typed"
)

type caIssueOptions struct {
	order     ca.Order
	profile   string
	publicKey string
	file      exportFlags
	secrets   secretFlags
}

func newCAIssueCmd(env *session) *cobra.Command {
	var o caIssueOptions
	cmd := &cobra.Command{
		Use:   "issue DIR REQUEST... --profile NAME",
		Short: "Issue certificates",
		Long: `Issue a certificate for a request (PKCS#10), whose signature is checked. For a
key that cannot sign, name its public key with --public-key instead of a
request, and its owner with --subject.

The profile decides what the certificate is like: ` + strings.Join(ca.ProfileNames()[:3], ", ") + `,
` + strings.Join(ca.ProfileNames()[3:], ", ") + `, or a file. From a request comes only what the
profile lists. A request never makes a CA, and never names an account of
Windows: that is what --is-ca, --upn and --sid are for.

Several requests are all checked first, and then issued with one PIN entry.
Their certificates are written to the directory --out, with the names of the
requests.`,
		Example: `  cardctl ca issue desk-ca me.csr --profile client --out me.pem
  cardctl ca issue desk-ca me.csr --profile smartcard-logon \
      --upn me@corp.example.com --out me.pem
  cardctl ca issue desk-ca a.csr b.csr --profile client --out certificates
  cardctl ca issue desk-ca --public-key key2.pem --subject CN=me --profile mail`,
		Args: typed.Args(1, mostRequests+1, "the directory of the CA, and requests, or - for stdin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) > 2 {
				return runCAIssueEach(cmd.Context(), env, &o, args[0], args[1:])
			}
			return runCAIssue(cmd.Context(), env, &o, args[0], strings.Join(args[1:], ""))
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.profile, "profile", "", "name or `file` of the profile")
	flags.StringVar(&o.publicKey, "public-key", "", "`file` with the public key of a key that cannot sign")
	names := &o.order.Names
	flags.StringVar(&names.Subject, "subject", "", "distinguished `name` instead of that of the request")
	flags.StringArrayVar(&names.Emails, "email", nil, "mail `address` for subjectAltName, repeatable")
	flags.StringArrayVar(&names.DNS, "dns", nil, "host `name` for subjectAltName, repeatable")
	flags.StringArrayVar(&names.UPNs, "upn", nil, "user principal `name` of a Windows account")
	flags.StringVar(&o.order.SID, "sid", "", "security `identifier` of a Windows account: S-1-…")
	flags.IntVar(&o.order.Days, "days", 0, "validity in `days` (default: that of the profile)")
	flags.BoolVar(&o.order.IsCA, "is-ca", false, "issue the certificate of a CA")
	flags.StringArrayVar(&o.order.Permit, "permit", nil, "`name` that a CA may certify, repeatable")
	flags.StringArrayVar(&o.order.Exclude, "exclude", nil, "`name` that a CA may not certify, repeatable")
	o.file.add(flags, "pem", "der")
	o.secrets.addCAKey(cmd)
	return cmd
}

// mostDropped is of how much that a request asked for in vain there is a line.
const mostDropped = 10

type issuedReport struct {
	ca.Issued
	exported
}

// runCAIssue reads everything before it asks for the key of the CA.
func runCAIssue(ctx context.Context, env *session, o *caIssueOptions, dir, file string) error {
	if err := o.read(ctx, env, file); err != nil {
		return err
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	var issued ca.Issued
	err = withCA(ctx, dir, func(c *ca.CA) error {
		issued, err = c.Issue(ctx, env.desk(), access, o.order, env.Now())
		return err
	})
	if err != nil {
		return err
	}
	report := reportIssued(env, issued)
	err = o.file.write(ctx, env, "CertificateIssued", &report.exported, &report)
	if err != nil { // it is issued all the same
		env.note("The certificate was issued: cardctl ca show %s %s", dir, issued.Serial)
	}
	return err
}

// reportIssued says what is different from what was asked for.
func reportIssued(env *session, issued ca.Issued) issuedReport {
	for i, what := range issued.Dropped {
		if i == mostDropped {
			env.note("The request asked for %d more.", len(issued.Dropped)-i)
			break
		}
		env.note("The request asked for this, and the profile %s does not let it through: %s", issued.Profile, what)
	}
	if issued.Shortened {
		env.note("The certificate ends with the CA.")
	}
	return issuedReport{issued, exported{DER: issued.DER, PEM: string(csr.PEMCertificate(issued.DER))}}
}

// read reads the files.
func (o *caIssueOptions) read(ctx context.Context, env *session, file string) (err error) {
	if (file == "") == (o.publicKey == "") {
		return problem.New(problem.Usage, "a certificate is issued for a request or a public key").
			Because("Name one of them, and not both.").Advise(advice.Do(advice.Help))
	}
	if o.profile == "" {
		return problem.New(problem.Usage, "no profile was named").
			Because("The profiles are %s, and files.", strings.Join(ca.ProfileNames(), ", ")).
			Advise(advice.Repeat(advice.Set(advice.Profile, "client")))
	}
	if err := oneReader(&o.secrets, file); err != nil {
		return err
	}
	if err := o.file.check(); err != nil {
		return err
	}
	if o.order.Profile, err = ca.ReadProfile(ctx, o.profile); err != nil {
		return err
	}
	if file == "" {
		var a desk.Access
		err = env.readPublicKey(ctx, o.publicKey, &a)
		o.order.PublicKey = a.PublicKey
		return err
	}
	data, err := env.readFile(ctx, file, csr.MaxFile)
	if err != nil {
		return err
	}
	if o.order.Request, err = csr.Read(data); err != nil {
		return about(err, file)
	}
	return nil
}
