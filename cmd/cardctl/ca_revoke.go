package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/input"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/typed"
)

func newCARevokeCmd(env *session) *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:   "revoke DIR SERIAL|FILE --reason NAME",
		Short: "Revoke a certificate",
		Long: `Revoke a certificate that the CA issued, by its serial number or a file with it.
That counts for others when the next CRL is there: cardctl ca crl.

The reasons are those of RFC 5280: unspecified, keyCompromise, cACompromise,
affiliationChanged, superseded, cessationOfOperation, certificateHold,
privilegeWithdrawn and aACompromise. Only certificateHold can be taken back.`,
		Example: `  cardctl ca revoke desk-ca me.pem --reason keyCompromise
  cardctl ca revoke desk-ca me.pem --reason certificateHold --yes`,
		Args: typed.Args(2, 2, "the directory of the CA, and the serial number or file of the certificate"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCARevoke(cmd.Context(), env, reason, args[0], args[1])
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "", "`reason`: "+strings.Join(ca.Reasons()[:5], ", ")+", …")
	return cmd
}

func runCARevoke(ctx context.Context, env *session, reason, dir, which string) error {
	if reason == "" {
		return problem.New(problem.Usage, "no reason was named").
			Because("The reasons are %s.", strings.Join(ca.Reasons(), ", ")).Advise(advice.Repeat(advice.Set(advice.Reason, "superseded")))
	}
	var s secretFlags
	access, err := s.access(env)
	if err != nil {
		return err
	}
	return withCA(ctx, dir, func(c *ca.CA) error {
		serial, err := env.issuedSerial(ctx, c, which)
		if err != nil {
			return err
		}
		change, err := c.Revoke(ctx, access, serial, reason, env.Now())
		if err != nil {
			return err
		}
		return env.result("CertificateRevoked", change, func(s *output.Sheet) { changeText(s, "Revoked "+serial, &change) })
	})
}

// issuedSerial is the serial number of a certificate: as it was typed, or that in a file.
func (env *session) issuedSerial(ctx context.Context, c *ca.CA, which string) (string, error) {
	if which != "-" && !input.Exists(which) {
		return ca.ParseSerial(which)
	}
	certificates, err := env.readCertificates(ctx, which, nil)
	if err != nil {
		return "", err
	}
	if len(certificates) != 1 {
		return "", problem.New(problem.Mismatch, "%s has %d certificates", which, len(certificates)).
			Because("Name the serial number of one of them.").Advise(advice.Run("openssl", "x509", "-noout", "-serial", "-in", which))
	}
	return c.Issued(ctx, certificates[0])
}

func changeText(s *output.Sheet, heading string, c *ca.Change) {
	s.Heading(heading)
	s.Field("subject", c.Subject)
	s.Field("state", string(c.State))
	s.Field("reason", c.Reason)
}
