package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/csr"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

func newCAShowCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:   "show DIR [SERIAL|FILE]",
		Short: "Show a CA, or a certificate that it issued",
		Long: `Show what a CA is, where its key is, and how much it issued. With a serial
number or a file, show that certificate and what became of it.`,
		Example: "  cardctl ca show desk-ca\n  cardctl ca show desk-ca me.pem",
		Args:    typed.Args(1, 2, "the directory of the CA, and the serial number or file of a certificate"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return readingCA(cmd.Context(), args[0], func(c *ca.CA) error {
				if len(args) == 1 {
					return showCA(cmd.Context(), env, c)
				}
				return showIssued(cmd.Context(), env, c, args[1])
			})
		},
	}
}

func showCA(ctx context.Context, env *session, c *ca.CA) error {
	summary, err := c.Summary(ctx, env.Now())
	if err != nil {
		return err
	}
	return env.result("CertificationAuthority", summary, func(s *output.Sheet) {
		s.Heading("CA in " + summary.Directory)
		caText(s, &summary.Report)
		for _, state := range ca.States() {
			s.Field(string(state), fmt.Sprint(summary.Certificates[state]))
		}
		if summary.CRL != nil {
			s.Field("last CRL", fmt.Sprintf("number %d, until %s", summary.CRL.Number, output.Time(summary.CRL.NextUpdate)))
		}
	})
}

type shownCertificate struct {
	ca.Entry
	PEM string `json:"pem"`
}

func showIssued(ctx context.Context, env *session, c *ca.CA, which string) error {
	serial, err := env.issuedSerial(ctx, c, which)
	if err != nil {
		return err
	}
	entry, der, err := c.Certificate(ctx, serial, env.Now())
	if err != nil {
		return err
	}
	shown := shownCertificate{entry, string(csr.PEMCertificate(der))}
	return env.result("Certificate", shown, func(s *output.Sheet) {
		s.Heading(serial)
		entryText(s, &entry)
		s.Verbatim(shown.PEM)
	})
}
