package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/typed"
)

type caOCSPOptions struct {
	out, listen string
	responder   ca.Responder
	signWithCA  bool
	former      formerFlags
	secrets     secretFlags
}

func newCAOCSPCmd(env *session) *cobra.Command {
	var o caOCSPOptions
	cmd := &cobra.Command{
		Use:   "ocsp DIR [SERIAL|FILE...]",
		Short: "Answer whether certificates are revoked (OCSP)",
		Long: `Sign answers about certificates: good or revoked. With --out, write them into a
directory for any web server, each under the name by which it is fetched with
GET (RFC 5019). Without a serial number, all that have not expired get one.
With --listen, answer requests until you press Ctrl-C; a certificate that the
CA did not issue is unknown.

A key of its own signs the answers, so that the card of the CA stays in the
safe: --signer-key. It has a certificate of the profile ocsp. With
--sign-with-ca, the CA signs them itself.`,
		Example: `  cardctl ca ocsp desk-ca --sign-with-ca --out ocsp
  cardctl ca ocsp desk-ca --sign-with-ca --days 30 --out ocsp me.pem`,
		Args: typed.Args(1, mostSerials, "the directory of the CA, and serial numbers or files of certificates"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCAOCSP(cmd.Context(), env, &o, args[0], args[1:])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&o.out, "out", "", "write the answers into this `directory`")
	flags.StringVar(&o.listen, "listen", "", "answer requests at this `address`, such as 127.0.0.1:8080")
	flags.StringVar(&o.responder.Key, "signer-key", "", "`reference` or file of the key that signs the answers")
	flags.BoolVar(&o.signWithCA, "sign-with-ca", false, "sign the answers with the key of the CA")
	flags.IntVar(&o.responder.Days, "days", 0, "how many `days` an answer holds (default 7)")
	o.former.add(cmd, &o.secrets)
	o.secrets.addCAKey(cmd)
	return cmd
}

// mostSerials is how many certificates one command takes.
const mostSerials = 10_000

func runCAOCSP(ctx context.Context, env *session, o *caOCSPOptions, dir string, about []string) error {
	switch {
	case (o.responder.Key == "") == !o.signWithCA:
		return problem.New(problem.Usage, "nobody is named who signs").
			Because("Name one of them: a key of its own, or that of the CA.").Advise(advice.Repeat(advice.Switch(advice.SignWithCA)).Without(advice.SignerKey))
	case (o.out == "") == (o.listen == ""):
		return problem.New(problem.Usage, "the answers go into a directory or to an address").
			Because("Name one of them, and not both.").Advise(advice.Do(advice.Help))
	case o.listen != "" && len(about) > 0:
		return problem.New(problem.Usage, "a responder answers about all certificates").Advise(advice.Do(advice.Help))
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	return withCA(ctx, dir, func(c *ca.CA) error {
		o.responder.Former = o.former.of(env, access, dir)
		if o.listen != "" {
			return listenForOCSP(ctx, env, c, access, o)
		}
		var serials []string
		for _, which := range about {
			serial, err := env.issuedSerial(ctx, c, which)
			if err != nil {
				return err
			}
			serials = append(serials, serial)
		}
		answers, err := c.SignOCSP(ctx, env.desk(), access, o.responder, serials, env.Now())
		if err != nil {
			return err
		}
		return writeAnswers(ctx, env, o.out, answers)
	})
}

// listenForOCSP ends without an error when it is interrupted.
func listenForOCSP(ctx context.Context, env *session, c *ca.CA, access desk.Access, o *caOCSPOptions) error {
	return c.AnswerOCSP(ctx, env.desk(), access, o.responder, ca.Listening{
		Address: o.listen, Now: env.Now, Ended: ctx,
		Ready: func(address string) error {
			env.note("answering at http://%s/", address)
			env.progress.Done()
			return nil
		},
	})
}

// writeAnswers writes each answer under its name.
func writeAnswers(ctx context.Context, env *session, dir string, answers []ca.Answer) error {
	for _, answer := range answers {
		path := filepath.Join(dir, filepath.FromSlash(answer.Name))
		err := os.MkdirAll(filepath.Dir(path), 0o777)
		if err == nil {
			err = env.writeFile(ctx, path, answer.DER)
		}
		if err != nil {
			return problem.Wrap(problem.Failed, err, "cannot write the answer about "+answer.Serial)
		}
	}
	document := struct {
		Directory string      `json:"directory"`
		Answers   []ca.Answer `json:"answers"`
	}{dir, answers}
	return env.result("OCSPAnswers", document, func(s *output.Sheet) {
		s.Heading(fmt.Sprintf("Wrote %d answers into %s", len(answers), dir))
		for _, answer := range answers {
			s.Field(string(answer.State), answer.Serial)
		}
	})
}
