package main

import (
	"context"
	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
)

type genCSROptions struct {
	key        string
	request    csr.Options
	selfSigned bool
	days       int
	file       exportFlags
	secrets    secretFlags
}

func newGenCSRCmd(env *session) *cobra.Command {
	var o genCSROptions
	cmd := &cobra.Command{
		Use:   "gen-csr --key REF --subject DN",
		Short: "Make a certificate request that the card signs",
		Long: `Make a PKCS#10 request for a key on the card, signed by the card, and check it
before it is written. With --self-signed it is a certificate instead.

The subject is written as RFC 4514 has it, CN=me,O="Snake Oil, Ltd",C=XY, or as
OpenSSL does, /C=XY/O=Snake Oil, Ltd/CN=me.`,
		Example: `  cardctl gen-csr --key OPENPGP.3 --subject 'CN=Floppy Head,C=XY' --out me.csr
  cardctl gen-csr --key OPENPGP.3 --subject /C=AT/CN=client27 \
      --email client27@example.com --pin env:PIN | openssl req -verify -noout
  cardctl gen-csr --key OPENPGP.3 --subject CN=me --self-signed --days 365`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runGenCSR(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.key)
	r := &o.request
	flags.StringVar(&r.Subject, "subject", "", "distinguished `name`, RFC 4514 or /C=…/CN=…")
	flags.StringArrayVar(&r.Emails, "email", nil, "mail `address` for subjectAltName, repeatable")
	flags.StringArrayVar(&r.DNS, "dns", nil, "host `name` for subjectAltName, repeatable")
	flags.StringArrayVar(&r.IPs, "ip", nil, "IP `address` for subjectAltName, repeatable")
	flags.StringArrayVar(&r.URIs, "uri", nil, "`URI` for subjectAltName, repeatable")
	flags.StringArrayVar(&r.UPNs, "upn", nil, "user principal `name` for subjectAltName, repeatable")
	flags.StringSliceVar(&r.KeyUsage, "key-usage", nil, "key usages by `name`: digitalSignature,…")
	flags.StringSliceVar(&r.ExtKeyUsage, "ext-key-usage", nil, "extended key usages by `name` or OID: clientAuth,…")
	flags.StringArrayVar(&r.Extensions, "extension", nil, "another extension, `OID=HEX` or OID=critical,HEX")
	flags.StringVar(&r.Digest, "digest", "", "`digest`: sha256, sha384 or sha512")
	flags.BoolVar(&r.PSS, "pss", false, "sign with RSASSA-PSS")
	flags.BoolVar(&o.selfSigned, "self-signed", false, "make a certificate that the key itself signs")
	flags.IntVar(&o.days, "days", 0, "`days` that a self-signed certificate is valid")
	o.file.add(flags, "pem", "der")
	o.secrets.add(flags, secret.PIN, "user PIN")
	o.secrets.addLastTry(flags)
	return cmd
}

type requestReport struct {
	csr.Made
	exported
}

func runGenCSR(ctx context.Context, env *session, o *genCSROptions) error {
	ref, access, err := env.parseKeyAccess(ctx, o.key, &o.secrets)
	if err != nil {
		return err
	}
	request, err := o.parse()
	if err != nil {
		return err
	}
	made, err := csr.Sign(ctx, env.desk(), access, ref, request, o.days, env.Now())
	if err != nil {
		return err
	}
	report := requestReport{made, exported{DER: made.DER, PEM: string(made.PEM())}}
	return o.file.write(ctx, env, "CertificateRequest", &report.exported, &report)
}

// parse reads what does not need the card.
func (o *genCSROptions) parse() (csr.Request, error) {
	switch {
	case o.selfSigned && o.days < 1:
		return csr.Request{}, problem.New(problem.Usage, "--self-signed wants --days N").
			Because("A certificate ends some day; N is 1 or more.").
			Hint("the same command with --days 365")
	case !o.selfSigned && o.days != 0:
		return csr.Request{}, problem.New(problem.Usage, "--days is for --self-signed").
			Because("How long a certificate is valid is what the CA says.")
	}
	if err := o.file.check(); err != nil {
		return csr.Request{}, err
	}
	return csr.Parse(o.request)
}
