package main

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/output"
)

func newAppletListCmd(env *Env) *cobra.Command {
	var f domainFlags
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List what is on a Java card",
		Long: `List the security domains, applications and packages of a Java card, with their
life cycle states and privileges.`,
		Example: "  cardctl applet list --card-keys default\n  cardctl applet list --card-keys file:card.keys -o json",
		Args:    noArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return runAppletList(cmd.Context(), env, &f) },
	}
	f.add(cmd.Flags())
	return cmd
}

type appletListReport struct {
	Reader string `json:"reader"`
	*applet.Listing
}

func runAppletList(ctx context.Context, env *Env, f *domainFlags) error {
	access, err := f.access(env)
	if err != nil {
		return err
	}
	var report appletListReport
	err = env.withDomain(ctx, access, func(ctx context.Context, reader string, a applet.Access) error {
		report.Reader = reader
		report.Listing, err = applet.List(ctx, a)
		return err
	})
	if err != nil {
		return err
	}
	return env.result("AppletList", report, report.text)
}

func (r *appletListReport) text(s *output.Sheet) {
	s.Heading("Java card in " + r.Reader)
	s.Field("state", r.State)
	s.Field("secure channel", r.Protocol)
	s.Field("key version", keyVersionText(r.KeyVersion))
	for _, part := range []struct {
		name  string
		items []applet.Item
	}{
		{"Security domain", r.Domains},
		{"Application", r.Applications},
		{"Package", r.Packages},
	} {
		for _, i := range part.items {
			s.Gap()
			s.Heading(strings.TrimSpace(part.name + " " + i.AID.String() + " " + i.Version))
			s.Field("name", i.Name)
			s.Field("state", i.State)
			s.Field("privileges", strings.Join(i.Privileges, ", "))
			s.Field("package", i.Package.String())
			s.Field("applets", joinAIDs(i.Modules))
			s.Field("belongs to", i.Domain.String())
		}
	}
	if len(r.Applications)+len(r.Packages) == 0 {
		s.Gap()
		s.Heading("No applications, no packages")
	}
}
