package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/ca"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

func newCAExportCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:   "export DIR TO",
		Short: "Write a CA as a directory of openssl ca and easy-rsa",
		Long: `Write a new directory with which openssl ca and easy-rsa 3 go on: the
certificate of the CA, index.txt, the certificates and the numbers. A key in a
file is in it, encrypted as it is. A key on a card stays on the card.`,
		Example: "  cardctl ca export desk-ca pki",
		Args:    typed.Args(2, 2, "the directory of the CA, and the new directory"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runCAExport(cmd.Context(), env, args[0], args[1])
		},
	}
}

func runCAExport(ctx context.Context, env *session, dir, to string) error {
	return withCA(ctx, dir, func(c *ca.CA) error {
		exported, err := c.HandOver(ctx, to, env.Now())
		if err != nil {
			return err
		}
		for _, serial := range exported.Changed {
			env.note("openssl ca does not know the reason for which %s was revoked: it is left out.", serial)
		}
		return env.result("CAExported", exported, func(s *output.Sheet) {
			s.Heading(fmt.Sprintf("Wrote %d certificates into %s", exported.Certificates, to))
		})
	})
}
