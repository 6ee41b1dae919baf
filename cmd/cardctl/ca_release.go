package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

func newCAReleaseCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:   "release DIR SERIAL|FILE",
		Short: "End the hold of a certificate",
		Long: `Make a certificate valid again that was revoked with the reason certificateHold.
No other revocation can be taken back.`,
		Example: "  cardctl ca release desk-ca me.pem",
		Args:    typed.Args(2, 2, "the directory of the CA, and the serial number or file of the certificate"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCARelease(cmd.Context(), env, args[0], args[1])
		},
	}
}

func runCARelease(ctx context.Context, env *session, dir, which string) error {
	return withCA(ctx, dir, func(c *ca.CA) error {
		serial, err := env.issuedSerial(ctx, c, which)
		if err != nil {
			return err
		}
		change, err := c.Release(ctx, serial, env.Now())
		if err != nil {
			return err
		}
		return env.result("CertificateReleased", change, func(s *output.Sheet) { changeText(s, "Released "+serial, &change) })
	})
}
