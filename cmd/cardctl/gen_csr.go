package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/typed"
)

type genCSROptions struct {
	key        string
	request    csr.Options
	selfSigned bool
	days       int
	file       exportFlags
	publicKey  string
	secrets    secretFlags
}

func newGenCSRCmd(env *session) *cobra.Command {
	var o genCSROptions
	cmd := &cobra.Command{
		Use:   "gen-csr --key REF --subject DN",
		Short: "Create a certificate request signed by the card",
		Long: `Create a certificate request (PKCS#10) for a key on the card. The card signs it,
and cardctl checks it before writing it. With --self-signed, create a
self-signed certificate instead.

Write the subject as in RFC 4514, CN=me,O="Snake Oil, Ltd",C=XY, or as in
OpenSSL, /C=XY/O=Snake Oil, Ltd/CN=me.`,
		Example: `  cardctl gen-csr --key OPENPGP.3 --subject 'CN=Floppy Head,C=XY' --out me.csr
  cardctl gen-csr --key OPENPGP.3 --subject /C=AT/CN=client27 \
      --email client27@example.com --pin env:PIN | openssl req -verify -noout
  cardctl gen-csr --key OPENPGP.3 --subject CN=me --self-signed --days 365`,
		Args: typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runGenCSR(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	keyFlag(flags, &o.key)
	namesFlags(flags, &o.request)
	flags.BoolVar(&o.selfSigned, "self-signed", false, "create a self-signed certificate instead of a request")
	flags.IntVar(&o.days, "days", 0, "validity of a self-signed certificate in `days`")
	publicKeyFlag(flags, &o.publicKey)
	o.file.add(flags, "pem", "der")
	o.secrets.add(flags, secret.PIN, "user PIN")
	o.secrets.add(flags, secret.ChallengePassword, "challenge password, which becomes part of the request")
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
	if err == nil {
		err = env.readPublicKey(ctx, o.publicKey, &access)
	}
	if err == nil && !o.selfSigned {
		request.Challenge, err = csr.AskChallenge(ctx, access.Ask)
		defer request.Challenge.Wipe()
	}
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
		return csr.Request{}, problem.New(problem.Usage, "--self-signed needs --days N").
			Because("N is the validity in days, at least 1.").Advise(advice.Repeat(advice.Set(advice.Days, "365")))
	case !o.selfSigned && o.days != 0:
		return csr.Request{}, problem.New(problem.Usage, "--days needs --self-signed").
			Because("The CA decides how long a certificate is valid.").Advise(advice.Repeat().Without(advice.Days))
	case o.selfSigned && o.secrets.flagGiven(secret.ChallengePassword):
		return csr.Request{}, problem.New(problem.Usage, "a self-signed certificate has no challenge password").
			Because("It is an attribute of requests.").Advise(advice.Repeat().Without(advice.Field(secret.ChallengePassword)))
	}
	if err := o.file.check(); err != nil {
		return csr.Request{}, err
	}
	return csr.Parse(o.request)
}
