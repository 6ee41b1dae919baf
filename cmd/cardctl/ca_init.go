package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/cert"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/typed"
)

type caInitOptions struct {
	ca          ca.InitOptions
	parent      string
	request     string
	certificate string
	issuer      issuerFlags
	secrets     secretFlags
}

func newCAInitCmd(env *session) *cobra.Command {
	var o caInitOptions
	cmd := &cobra.Command{
		Use:   "init DIR --subject DN",
		Short: "Create a CA",
		Long: `Create a CA in a new directory. Its key is the one on a card that --key names,
or a new one in a file, encrypted under a password. The key signs its own
certificate, DIR/ca.pem, which is given to those who have to trust the CA.

With --parent, another CA issues the certificate. Flags that begin with --issuer
are about the key of that CA. For a CA elsewhere, --request writes a request to
a file; once that CA has issued the certificate, the same command with
--certificate instead completes the CA.

The addresses are written into the certificates that the CA issues.`,
		Example: `  cardctl ca init desk-ca --subject 'CN=Desk CA,O=Example' --key OPENPGP.1
  cardctl ca init desk-ca --subject 'CN=Desk CA' --algorithm p384 \
      --password file:ca.password --crl-url http://ca.example.com/desk-ca.crl`,
		Args: typed.OneArg("the directory of the CA"),
		RunE: func(cmd *cobra.Command, args []string) error { return runCAInit(cmd.Context(), env, &o, args[0]) },
	}
	flags := cmd.Flags()
	flags.StringVar(&o.ca.Subject, "subject", "", "distinguished `name` of the CA, RFC 4514 or /C=…/CN=…")
	flags.StringVarP(&o.ca.Key, "key", "k", "", "`reference` of a key on a card, such as OPENPGP.1")
	flags.StringVar(&o.ca.Algorithm, "algorithm", "", "`algorithm` of a key in a file (default p384)")
	flags.IntVar(&o.ca.Days, "days", 0, "validity in `days` (default 3650)")
	flags.BoolVar(&o.ca.PSS, "pss", false, "sign with RSASSA-PSS")
	flags.StringArrayVar(&o.ca.CRL, "crl-url", nil, "`address` of the CRL, repeatable")
	flags.StringArrayVar(&o.ca.OCSP, "ocsp-url", nil, "`address` of an OCSP responder, repeatable")
	flags.StringArrayVar(&o.ca.Issuers, "issuer-url", nil, "`address` of the certificate of the CA, repeatable")
	flags.StringVar(&o.parent, "parent", "", "`directory` of the CA that issues the certificate of this one")
	requestFlags(flags, &o.request, &o.certificate)
	o.secrets.addCAKey(cmd)
	o.issuer.add(cmd, &o.secrets)
	return cmd
}

// requestFlags are about a certificate from a CA elsewhere.
func requestFlags(flags *pflag.FlagSet, request, certificate *string) {
	flags.StringVar(request, "request", "", "write a request for a CA elsewhere to this `file`")
	flags.StringVar(certificate, "certificate", "", "`file` with the certificate that a CA elsewhere issued")
}

// readOwnCertificate reads the one certificate of a file, nil for no file.
func (env *session) readOwnCertificate(ctx context.Context, file string, a desk.Access) (*cert.Certificate, error) {
	list, err := env.readCertificates(ctx, file, a.Ask)
	if err != nil || file == "" {
		return nil, err
	}
	return list[0], nil
}

func runCAInit(ctx context.Context, env *session, o *caInitOptions, dir string) error {
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	if o.parent != "" {
		o.ca.Parent = &ca.Parent{Directory: o.parent, Desk: o.issuer.desk(env), Access: access}
	}
	if o.request != "" && (o.certificate != "" || o.parent != "") {
		return problem.New(problem.Usage, "a request is for a CA elsewhere").
			Because("Without --certificate and --parent.").Advise(advice.Do(advice.Help))
	}
	o.ca.Request = o.request != ""
	if o.ca.Certificate, err = env.readOwnCertificate(ctx, o.certificate, access); err != nil {
		return err
	}
	report, err := ca.Init(ctx, env.desk(), access, dir, o.ca, env.Now())
	if err != nil {
		return err
	}
	if o.ca.Request {
		if err := env.writeFile(ctx, o.request, []byte(report.Request)); err != nil {
			return err
		}
	}
	return env.result("CertificationAuthority", report, func(s *output.Sheet) {
		if o.ca.Request {
			s.Heading("Wrote the request for the certificate of the CA to " + o.request)
			s.Field("subject", report.Subject)
			return
		}
		s.Heading("Created the CA in " + dir)
		caText(s, &report)
	})
}

func caText(s *output.Sheet, r *ca.Report) {
	s.Field("subject", r.Subject)
	s.Field("serial", r.Serial)
	s.Field("valid until", output.Time(r.NotAfter))
	key := "in a file"
	if r.Key != "" {
		key = strings.TrimSpace(r.Key + " on the card " + r.Card)
	}
	s.Field("key", r.Algorithm+", "+key)
}
