package main

import (
	"context"
	"crypto/x509"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/certstore"
	"github.com/cardctl/cardctl/internal/inventory"
	"github.com/cardctl/cardctl/internal/key"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/p11"
	"github.com/cardctl/cardctl/internal/pkcs15"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/secret"
	"github.com/cardctl/cardctl/internal/smoke"
)

type smokeTestOptions struct {
	keys       []string
	tls        bool
	tlsConnect string
	chain, ca  string
	secrets    secretFlags
}

func newSmokeTestCmd(env *Env) *cobra.Command {
	var o smokeTestOptions
	cmd := &cobra.Command{
		Use:   "smoke-test --key REF",
		Short: "Prove that a key and its certificate work",
		Long: `Sign and verify through the PKCS#11 module, as a browser or a VPN would; of
opensc where --module names no other. The card is found in the module by its
serial and its key. With --tls there are handshakes with client certificate on
loopback, with --tls-connect one with a real server. --key can be given several
times: keys on one token share one login, and the first failure that may cost a
try of the PIN ends it.`,
		Example: `  cardctl smoke-test --key OPENPGP.3 --tls
  cardctl smoke-test --key OPENPGP.3 --pin env:PIN \
      --tls-connect www.example.com:443
  cardctl smoke-test --key 'pkcs11:token=desk;id=%45' --module softhsm2
  cardctl smoke-test --module softhsm2 --key 'pkcs11:token=desk;object=vpn' \
      --key 'pkcs11:token=desk;object=mail'`,
		Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return runSmokeTest(cmd.Context(), env, &o) },
	}
	flags := cmd.Flags()
	flags.StringArrayVarP(&o.keys, "key", "k", nil, "`reference` of a key, such as OPENPGP.3; can be given several times")
	flags.BoolVar(&o.tls, "tls", false, "add TLS handshakes on loopback")
	flags.StringVar(&o.tlsConnect, "tls-connect", "", "add a TLS handshake with `HOST:PORT`")
	flags.StringVar(&o.chain, "chain", "", "`file` with certificates of issuers to send along in TLS")
	flags.StringVar(&o.ca, "ca", "", "`file` with the CA that the server of --tls-connect has")
	o.secrets.add(flags, secret.PIN, "user PIN")
	o.secrets.addLastTry(flags)
	return cmd
}

// smokeTests is the document of several keys; that of one is its report.
type smokeTests struct {
	Tests  []smoke.Report `json:"tests"`
	Passed bool           `json:"passed"`
}

func runSmokeTest(ctx context.Context, env *Env, o *smokeTestOptions) error {
	if len(o.keys) == 0 {
		o.keys = []string{""} // a person may choose
	}
	var tests []smoke.Options
	for _, reference := range o.keys {
		test, err := o.prepareKey(ctx, env, reference)
		if err != nil {
			return err
		}
		tests = append(tests, test)
	}
	reports, failed := smoke.RunAll(ctx, tests)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	for _, r := range reports {
		if env.object = r.Key; !r.Passed {
			break
		}
	}
	var err error
	if len(reports) == 1 {
		err = env.result("SmokeTest", reports[0], func(s *output.Sheet) { smokeText(s, &reports[0]) })
	} else {
		all := smokeTests{Tests: reports, Passed: failed == nil}
		err = env.result("SmokeTestList", all, all.text)
	}
	if err != nil {
		return err
	}
	return failed
}

// prepareKey reads a reference, and from the card what the module has to show.
func (o *smokeTestOptions) prepareKey(ctx context.Context, env *Env, reference string) (smoke.Options, error) {
	ref, err := env.parseKey(ctx, reference)
	if err != nil {
		return smoke.Options{}, err
	}
	test, err := o.prepare(ctx, env, ref)
	if err != nil {
		return test, err
	}
	if ref.Application == key.PKCS11 {
		test.URI, err = p11.ParseURI(ref.ID)
	} else {
		err = env.readForTest(ctx, ref, &test)
	}
	return test, err
}

// prepare is what does not need the card.
func (o *smokeTestOptions) prepare(ctx context.Context, env *Env, ref key.Reference) (smoke.Options, error) {
	ask, err := o.secrets.asker(env)
	if err != nil {
		return smoke.Options{}, err
	}
	chain, err := env.readCertificates(ctx, o.chain, ask)
	if err != nil {
		return smoke.Options{}, err
	}
	authorities, err := env.readCertificates(ctx, o.ca, ask)
	if err != nil {
		return smoke.Options{}, err
	}
	test := smoke.Options{
		Module: env.flags.module, Key: ref.String(), Chain: chain,
		Ask: ask, AllowLastTry: o.secrets.allowLastTry, Notify: env.progress.Show,
		TLS: o.tls, TLSConnect: o.tlsConnect, Now: env.Now,
		Progress: func(c smoke.Check) { env.detail("%s %s: %s", c.Result, c.Name, c.Detail) },
	}
	if len(authorities) > 0 {
		test.ServerCAs = x509.NewCertPool()
		for _, c := range authorities {
			test.ServerCAs.AddCert(c)
		}
	}
	return test, nil
}

// readForTest reads from the card what the module has to show, and lets it go.
func (env *Env) readForTest(ctx context.Context, ref key.Reference, test *smoke.Options) error {
	if strings.HasPrefix(env.flags.reader, simulatedPrefix) {
		return problem.New(problem.NotSupported, "a PKCS#11 module does not see a simulated card in process").
			Because("It sees the cards of the PC/SC daemon.").
			Hint("cardctl sim attach %s, then the same command with --reader of the virtual reader", strings.TrimPrefix(env.flags.reader, simulatedPrefix))
	}
	reader := ""
	err := env.withKey(ctx, ref, env.readOnly(), func(ctx context.Context, k openKey) (err error) {
		reader, test.Driver = k.place, key.CardDriver(k.Key)
		if test.Serial, err = key.Serial(ctx, k.Key); err != nil {
			return err
		}
		if test.DerivedPIN, err = key.DerivesPIN(ctx, k.Key); err != nil {
			return err
		}
		if test.Public, err = k.Public(ctx); err != nil {
			return err
		}
		test.Certificate, err = certificateOrNone(ctx, k)
		return err
	})
	if ref.Application == key.PKCS15 {
		test.Holder = "PKCS#15 card " + test.Serial
		test.Tries = env.pkcs15PINTries
		return err
	}
	test.Holder, test.SharedPIN = "OpenPGP card "+test.Serial, ref.Application == key.OpenPGP
	test.Tries = func(ctx context.Context) (int, error) { return env.userPINTries(ctx, reader) }
	return err
}

// certificateOrNone is the certificate of a key, nil where there is none, or no
// place for one.
func certificateOrNone(ctx context.Context, k key.Key) (*x509.Certificate, error) {
	der, err := certstore.Export(ctx, k)
	if problem.Is(err, problem.NotFound) || problem.Is(err, problem.NotSupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// userPINTries asks the card in a reader how many tries the user PIN has left.
func (env *Env) userPINTries(ctx context.Context, reader string) (int, error) {
	tries := 0
	err := env.withCardIn(ctx, reader, func(ctx context.Context, c *card) error {
		pins, err := inventory.PINs(ctx, c.Channel)
		tries = userTries(pins)
		return err
	})
	return tries, err
}

func (env *Env) pkcs15PINTries(ctx context.Context) (tries int, err error) {
	err = env.withPKCS15(ctx, func(ctx context.Context, c *pkcs15.Card, _ string) error {
		pins, err := inventory.PKCS15PINs(ctx, c)
		tries = userTries(pins)
		return err
	})
	return tries, err
}

func userTries(pins []inventory.PIN) int {
	for _, p := range pins {
		if p.Name == "user" {
			return p.TriesLeft
		}
	}
	return 0
}

func smokeText(s *output.Sheet, r *smoke.Report) {
	s.Heading(r.Key + " in " + r.Module)
	for _, c := range r.Checks {
		s.Field(string(c.Result)+"  "+c.Name, c.Detail)
	}
	switch {
	case r.Passed:
		s.Heading("Passed: the key works")
	case len(r.Checks) == 0:
		s.Heading("Not looked at, after the failure before it")
	default:
		s.Heading("FAILED")
	}
}

func (t *smokeTests) text(s *output.Sheet) {
	passed := 0
	for i := range t.Tests {
		smokeText(s, &t.Tests[i])
		s.Gap()
		if t.Tests[i].Passed {
			passed++
		}
	}
	s.Heading(fmt.Sprintf("%d of %d keys work", passed, len(t.Tests)))
}
