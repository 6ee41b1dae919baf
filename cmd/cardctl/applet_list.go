package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

func newAppletListCmd(env *session) *cobra.Command {
	var f domainFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what is on a Java card",
		Long: `List the security domains, applications and packages of a Java card, with their
life cycle states and privileges.`,
		Example: "  cardctl applet list --card-keys default\n  cardctl applet list --card-keys file:card.keys -o json",
		Args:    typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runAppletList(cmd.Context(), env, &f, (*applet.Listing).Text)
		},
	}
	f.add(cmd.Flags())
	return cmd
}

func runAppletList(ctx context.Context, env *session, f *domainFlags, text func(*applet.Listing, *output.Sheet)) error {
	return onDomain(ctx, env, f, f.wish().Parse, applet.List, "AppletList", text)
}
