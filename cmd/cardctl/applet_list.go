package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/output"
)

func newAppletListCmd(env *session) *cobra.Command {
	var f domainFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what is on a Java card",
		Long: `List the security domains, applications and packages of a Java card, with their
life cycle states and privileges.`,
		Example: "  cardctl applet list --card-keys default\n  cardctl applet list --card-keys file:card.keys -o json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runAppletList(cmd.Context(), env, &f, listingText) },
	}
	f.add(cmd.Flags())
	return cmd
}

func runAppletList(ctx context.Context, env *session, f *domainFlags, text func(*output.Sheet, *applet.Listing)) error {
	return onDomain(ctx, env, f, f.wish().Parse, applet.List, "AppletList", text)
}

func listingText(s *output.Sheet, l *applet.Listing) {
	s.Heading("Java card in " + l.Reader)
	s.Field("state", l.State)
	s.Field("secure channel", l.Protocol)
	s.Field("key version", applet.KeyVersionText(l.KeyVersion))
	for _, part := range []struct {
		name  string
		items []applet.Item
	}{
		{"Security domain", l.Domains},
		{"Application", l.Applications},
		{"Package", l.Packages},
	} {
		for _, i := range part.items {
			s.Gap()
			s.Heading(strings.TrimSpace(part.name + " " + i.AID.String() + " " + i.Version))
			s.Field("name", i.Name)
			s.Field("state", i.State)
			s.Field("privileges", strings.Join(i.Privileges, ", "))
			s.Field("package", i.Package.String())
			s.Field("applets", applet.Join(i.Modules))
			s.Field("belongs to", i.Domain.String())
		}
	}
	if cutOff(s, l) {
		return
	}
	if len(l.Applications)+len(l.Packages) == 0 {
		s.Gap()
		s.Heading("No applications, no packages")
	}
}

// cutOff says that the card does not list everything.
func cutOff(s *output.Sheet, l *applet.Listing) bool {
	if l.Incomplete {
		s.Gap()
		s.Heading("The card's list is cut off: more may be on the card")
	}
	return l.Incomplete
}
