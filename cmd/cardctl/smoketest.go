package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/smoke"
	"github.com/cardctl/cardctl/internal/typed"
)

type smokeTestOptions struct {
	keys       []string
	tls        bool
	as         string
	tlsConnect string
	chain, ca  string
	secrets    secretFlags
}

func newSmokeTestCmd(env *session) *cobra.Command {
	var o smokeTestOptions
	cmd := &cobra.Command{
		Use:   "smoke-test --key REF",
		Short: "Prove that a key works, and its certificate if any",
		Long: `Sign and verify through a PKCS#11 module, as a browser or VPN would. The module
is opensc unless --module names another. cardctl finds the card in the module by
its serial and its key. It checks the certificate of the key if there is one.

--tls adds TLS handshakes on loopback, for which the key needs a certificate.
It passes if OpenSSL, GnuTLS, NSS and Go can all use the key as they are set up
by default; --as tests one of them. --tls-connect adds a handshake with a real
server.

Repeat --key to test several keys. Keys on one token share one login, and the
test stops at the first failure that may have used up a PIN try.`,
		Example: `  cardctl smoke-test --key OPENPGP.3 --tls
  cardctl smoke-test --key OPENPGP.3 --pin env:PIN \
      --tls-connect www.example.com:443
  cardctl smoke-test --key 'pkcs11:token=desk;id=%45' --module softhsm2
  cardctl smoke-test --module softhsm2 --key 'pkcs11:token=desk;object=vpn' \
      --key 'pkcs11:token=desk;object=mail'`,
		Args: typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSmokeTest(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&o.keys, "key", "k", nil, "`reference` of a key, such as OPENPGP.3; repeatable")
	flags.BoolVar(&o.tls, "tls", false, "add TLS handshakes on loopback")
	flags.StringVar(&o.as, "as", "", "add the TLS handshakes of one `library`: openssl, gnutls, nss, go")
	flags.StringVar(&o.tlsConnect, "tls-connect", "", "add a TLS handshake with `HOST:PORT`")
	flags.StringVar(&o.chain, "chain", "", "`file` with issuer certificates to send in TLS")
	flags.StringVar(&o.ca, "ca", "", "`file` with the CA certificate of the --tls-connect server")
	o.secrets.add(flags, secret.PIN, "user PIN")
	o.secrets.addLastTry(flags)
	return cmd
}

// smokeTests is the document of several keys; that of one is its report.
type smokeTests struct {
	Tests  []smoke.Report `json:"tests"`
	Passed bool           `json:"passed"`
}

func runSmokeTest(ctx context.Context, env *session, o *smokeTestOptions) error {
	if len(o.keys) == 0 {
		o.keys = []string{""} // a person may choose
	}
	refs := make([]string, len(o.keys))
	for i, reference := range o.keys {
		var err error
		if refs[i], err = env.parseKey(ctx, reference); err == nil {
			err = o.secrets.takePINSource(refs[i])
		}
		if err != nil {
			return err
		}
	}
	access, err := o.secrets.access(env)
	if err != nil {
		return err
	}
	test, err := o.prepare(ctx, env, access)
	if err != nil {
		return err
	}
	reports, failed := smoke.Prove(ctx, env.desk(), access, refs, test)
	if len(reports) == 0 {
		return failed
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, r := range reports {
		if env.line.Object = r.Key; !r.Passed {
			break
		}
	}
	if len(reports) == 1 {
		err = env.result("SmokeTest", reports[0], reports[0].Text)
	} else {
		all := smokeTests{Tests: reports, Passed: failed == nil}
		err = env.result("SmokeTestList", all, all.text)
	}
	if err != nil {
		return err
	}
	return failed
}

// prepare is what does not need the card.
func (o *smokeTestOptions) prepare(ctx context.Context, env *session, access desk.Access) (smoke.Options, error) {
	chain, err := env.readCertificates(ctx, o.chain, access.Ask)
	if err != nil {
		return smoke.Options{}, err
	}
	authorities, err := env.readCertificates(ctx, o.ca, access.Ask)
	if err != nil {
		return smoke.Options{}, err
	}
	as, err := smoke.ParseLibrary(o.as)
	if err != nil {
		return smoke.Options{}, err
	}
	test := smoke.Options{
		Module: env.flags.module, Chain: chain, ServerCAs: authorities, TLS: o.tls || as != "" && o.tlsConnect == "", As: as, TLSConnect: o.tlsConnect, Stored: certstore.ExportFrom,
		Progress: func(c smoke.Check) { env.detail("%s %s: %s", c.Result, c.Name, c.Detail) },
	}
	return test, nil
}

func (t *smokeTests) text(s *output.Sheet) {
	passed := 0
	for i := range t.Tests {
		t.Tests[i].Text(s)
		s.Gap()
		if t.Tests[i].Passed {
			passed++
		}
	}
	s.Heading(fmt.Sprintf("%d of %d keys work", passed, len(t.Tests)))
}
