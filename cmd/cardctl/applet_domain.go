package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/typed"
)

func newAppletDomainCmd(env *session) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "domain",
		Short: "Manage the security domains of a Java card",
		Long: `List and create security domains, and give applets to them. A security domain
has card keys of its own, which manage what belongs to it.`,
		Example: "  cardctl applet domain list --card-keys default",
		Args:    typed.KnownCommand,
		RunE:    func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newDomainListCmd(env), newDomainCreateCmd(env), newDomainExtraditeCmd(env))
	return cmd
}

func newDomainListCmd(env *session) *cobra.Command {
	var f domainFlags
	cmd := &cobra.Command{
		Use:     "list",
		Short:   "List the security domains of a Java card",
		Long:    "List the security domains of a Java card, and what belongs to each.",
		Example: "  cardctl applet domain list --card-keys default",
		Args:    typed.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runAppletList(cmd.Context(), env, &f, (*applet.Listing).DomainsText)
		},
	}
	f.add(cmd.Flags())
	return cmd
}

func newDomainCreateCmd(env *session) *cobra.Command {
	var f domainFlags
	var w applet.NewDomainWish
	cmd := &cobra.Command{
		Use:   "create AID",
		Short: "Create a security domain on a Java card",
		Long: `Create a security domain. It uses the secure channel protocol of the domain that
creates it, unless --parameters states another. It has no card keys yet: give it
some with applet set-keys --isd AID --add.`,
		Example: "  cardctl applet domain create D276000085304A434F9003 --card-keys default",
		Args:    typed.OneArg("the AID of the new security domain"),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.AID, w.Domain = args[0], f.wish()
			return onDomain(cmd.Context(), env, &f, w.Parse, applet.CreateDomain, "AppletDomain", domainText)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&w.Privileges, "privileges", "", "`names` of more privileges, such as authorized-management")
	flags.StringVar(&w.Parameters, "parameters", "", "parameters of the security domain (the value of C9), in `hex`")
	flags.StringVar(&w.Raw, "raw-parameters", "", "the whole install parameters field, in `hex`")
	f.add(flags)
	return cmd
}

func newDomainExtraditeCmd(env *session) *cobra.Command {
	var f domainFlags
	var w applet.ExtraditeWish
	cmd := &cobra.Command{
		Use:   "extradite AID --to DOMAIN",
		Short: "Give an applet to another security domain",
		Long: `Give an applet, package or security domain to another security domain. Only the
card keys of that domain manage it afterwards, so cardctl asks you to confirm.`,
		Example: `  cardctl applet domain extradite F276A288BCFBA69D34F31001 \
      --to D276000085304A434F9003 --card-keys default --yes`,
		Args: typed.OneArg("the AID of an applet, a package or a security domain"),
		RunE: func(cmd *cobra.Command, args []string) error {
			w.AID, w.Domain = args[0], f.wish()
			return onDomain(cmd.Context(), env, &f, w.Parse, applet.Extradite, "AppletDomain", domainText)
		},
	}
	cmd.Flags().StringVar(&w.To, "to", "", "`AID` of the security domain that gets it")
	f.add(cmd.Flags())
	_ = cmd.MarkFlagRequired("to")
	return cmd
}

// domainText is what a security domain has now, or what belongs to one.
func domainText(r *applet.DomainReport, s *output.Sheet) {
	s.Heading(r.AID.String() + " on the card in " + r.Reader)
	s.Field("state", r.State)
	s.Field("privileges", strings.Join(r.Privileges, ", "))
	s.Field("belongs to", r.Domain.String())
}
