package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/typed"
)

type caRenewOptions struct {
	ca          ca.RenewOptions
	parent      string
	request     string
	certificate string
	issuer      issuerFlags
	secrets     secretFlags
}

func newCARenewCmd(env *session) *cobra.Command {
	var o caRenewOptions
	cmd := &cobra.Command{
		Use:   "renew DIR",
		Short: "Renew the certificate of a CA",
		Long: `Create another certificate for a CA, with the same name. DIR/ca.pem becomes the
new one. What the CA issued stays valid.

With --new-key, the CA gets another key: the one on a card that --key names, or
a new one in a file. Both keys sign a certificate for each other, for those who
trust only one of them: DIR/new-with-old.pem and DIR/old-with-new.pem. Flags
that begin with --issuer are then about the key that the CA has so far.

With --parent, another CA issues the certificate, and they are about its key.
For a CA elsewhere, --request writes a request, and --certificate takes what
that CA issued.`,
		Example: `  cardctl ca renew desk-ca
  cardctl ca renew desk-ca --new-key --algorithm p384 \
      --password file:ca.password`,
		Args: typed.OneArg("the directory of the CA"),
		RunE: func(cmd *cobra.Command, args []string) error { return runCARenew(cmd.Context(), env, &o, args[0]) },
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.ca.NewKey, "new-key", false, "give the CA another key")
	flags.StringVarP(&o.ca.Key, "key", "k", "", "`reference` of the new key on a card, such as OPENPGP.1")
	flags.StringVar(&o.ca.Algorithm, "algorithm", "", "`algorithm` of a new key in a file (default: that of the old one)")
	flags.IntVar(&o.ca.Days, "days", 0, "validity in `days` (default: as before)")
	flags.StringVar(&o.parent, "parent", "", "`directory` of the CA that issues the certificate of this one")
	requestFlags(flags, &o.request, &o.certificate)
	o.secrets.addCAKey(cmd)
	o.issuer.add(cmd, &o.secrets)
	return cmd
}

func runCARenew(ctx context.Context, env *session, o *caRenewOptions, dir string) error {
	if o.ca.NewKey && o.request+o.certificate != "" {
		return problem.New(problem.Usage, "a request is for the key that the CA has").Advise(advice.Repeat().Without(advice.NewKey))
	}
	if !o.ca.NewKey && (o.ca.Key != "" || o.ca.Algorithm != "") {
		return problem.New(problem.Usage, "the key of the CA stays").
			Because("Another one is a change that has to be asked for.").Advise(advice.Repeat(advice.Switch(advice.NewKey)))
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	o.ca.Former = &ca.Parent{Directory: dir, Desk: o.issuer.desk(env), Access: access}
	if o.parent != "" {
		o.ca.Parent = &ca.Parent{Directory: o.parent, Desk: o.issuer.desk(env), Access: access}
	}
	if o.request != "" {
		return requestRenewal(ctx, env, o, access, dir)
	}
	if o.ca.Certificate, err = env.readOwnCertificate(ctx, o.certificate, access); err != nil {
		return err
	}
	var renewed ca.Renewed
	err = withCA(ctx, dir, func(c *ca.CA) error {
		renewed, err = c.Renew(ctx, env.desk(), access, o.ca, env.Now())
		return err
	})
	if err != nil {
		return err
	}
	if renewed.Astray > 0 {
		env.note("Certificates that name the one before as their issuer: %d. OpenSSL verifies them only where that one is trusted, too.", renewed.Astray)
	}
	for _, file := range renewed.UnusedKeys {
		env.note("An interrupted renewal left a key that no certificate is for. It can be deleted: %s", file)
	}
	return env.result("CertificationAuthority", renewed, func(s *output.Sheet) {
		s.Heading("Renewed the CA in " + dir)
		caText(s, &renewed.Report)
		s.Field("before", renewed.Former+", in "+renewed.FormerFile)
		s.Field("new with old", renewed.NewWithOld)
		s.Field("old with new", renewed.OldWithNew)
	})
}

// requestRenewal writes a request for the next certificate of the CA.
func requestRenewal(ctx context.Context, env *session, o *caRenewOptions, access desk.Access, dir string) error {
	return withCA(ctx, dir, func(c *ca.CA) error {
		text, err := c.Request(ctx, env.desk(), access)
		if err == nil {
			err = env.writeFile(ctx, o.request, []byte(text))
		}
		if err != nil {
			return err
		}
		document := struct {
			Request string `json:"request"`
		}{text}
		return env.result("CertificateRequest", document, func(s *output.Sheet) {
			s.Heading("Wrote the request for the certificate of the CA to " + o.request)
		})
	})
}
