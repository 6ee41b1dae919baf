package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

func newAppletStateCmd(env *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Lock and unlock an applet or a Java card",
		Long: `Change the life cycle state of an applet or of a Java card, and read it back.

A locked applet cannot be selected. On a locked card, no applet can. A card goes
from OP_READY to INITIALIZED to SECURED and never back, so cardctl asks you to
confirm these steps. cardctl never terminates a card.`,
		Example: `  cardctl applet state lock F276A288BCFBA69D34F31001 \
      --card-keys file:card.keys
  cardctl applet state unlock-card --card-keys file:card.keys`,
		Args: typed.KnownCommand,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	for _, c := range []struct {
		change       applet.StateChange
		args, short  string
		long, sample string
	}{
		{applet.LockApplication, " AID", "Lock an applet", "Lock an applet or a security domain, so that it cannot be selected.", " F276A288BCFBA69D34F31001"},
		{applet.UnlockApplication, " AID", "Unlock an applet", "Unlock an applet or a security domain.", " F276A288BCFBA69D34F31001"},
		{applet.InitialiseCard, "", "Set the card state INITIALIZED", "Set the state of a card from OP_READY to INITIALIZED. It cannot go back.", ""},
		{applet.SecureCard, "", "Set the card state SECURED", "Set the state of a card from INITIALIZED to SECURED. It cannot go back.\nA secured card needs a secure channel with C-MAC at least.", ""},
		{applet.LockCard, "", "Lock the card", "Lock a secured card, so that no applet can be selected.", ""},
		{applet.UnlockCard, "", "Unlock the card", "Unlock a locked card. Its state is SECURED afterwards.", ""},
	} {
		var f domainFlags
		sub := &cobra.Command{
			Use: string(c.change) + c.args, Short: c.short, Long: c.long,
			Example: "  cardctl applet state " + string(c.change) + c.sample + " \\\n      --card-keys file:card.keys",
			Args:    typed.NoArgs,
			RunE: func(cmd *cobra.Command, args []string) error {
				return runAppletState(cmd.Context(), env, &f, applet.StateWish{Change: string(c.change), AID: first(args)})
			},
		}
		if c.args != "" {
			sub.Args = typed.OneArg("the AID of an applet, from cardctl applet list")
		}
		f.add(sub.Flags())
		cmd.AddCommand(sub)
	}
	return cmd
}

// first is the first argument, if there is one.
func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func runAppletState(ctx context.Context, env *session, f *domainFlags, w applet.StateWish) error {
	w.Domain = f.wish()
	return onDomain(ctx, env, f, w.Parse, applet.SetState, "AppletState", func(report *applet.StateReport, s *output.Sheet) {
		s.Heading("State on the card in " + report.Reader)
		s.Field("application", report.AID.String())
		s.Field("before", report.Before)
		s.Field("now", report.After)
	})
}
