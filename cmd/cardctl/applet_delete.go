package main

import (
	"context"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

type appletDeleteOptions struct {
	domain      domainFlags
	withApplets bool
}

func newAppletDeleteCmd(env *session) *cobra.Command {
	var o appletDeleteOptions
	cmd := &cobra.Command{
		Use:   "delete [AID]",
		Short: "Delete an application, package or keys on a Java card",
		Long: `Delete an application and its data from a Java card, or delete a package. If
applets were installed from the package, it is deleted only with --with-applets,
which deletes them too.

Without AID, delete the card keys of the version that --key-version names. The
keys that open the card are never deleted.`,
		Example: `  cardctl applet delete F276A288BCFBA69D34F31001 --card-keys default
  cardctl applet delete F276A288BCFBA69D34F310 --with-applets --yes \
      --card-keys file:card.keys
  cardctl applet delete --key-version 5 --card-keys default`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && cmd.Flags().Changed("key-version") {
				return nil
			}
			return typed.OneArg("the AID of an application or a package, from cardctl applet list")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAppletDelete(cmd.Context(), env, &o, first(args))
		},
	}
	flags := cmd.Flags()
	flags.BoolVar(&o.withApplets, "with-applets", false, "also delete everything installed from the package")
	o.domain.add(flags)
	return cmd
}

func runAppletDelete(ctx context.Context, env *session, o *appletDeleteOptions, aid string) error {
	w := applet.DeleteWish{Domain: o.domain.wish(), AID: aid, WithApplets: o.withApplets}
	return onDomain(ctx, env, &o.domain, w.Parse, applet.Delete, "AppletDeleted", func(report *applet.Deletion, s *output.Sheet) {
		s.Heading("Deleted from the card in " + report.Reader)
		s.Field("deleted", applet.Join(report.Deleted))
		if report.KeyVersion != 0 {
			s.Field("card keys", "version "+strconv.Itoa(int(report.KeyVersion)))
		}
	})
}
