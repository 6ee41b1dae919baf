package main

import (
	"context"
	"fmt"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/output"
)

func newAppletInspectCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what is in a CAP or IJC file",
		Long: `Show the package and the applets in a CAP or IJC file with their AIDs, imports
and the Java Card version that they need. Also show the components, and which of
them would be loaded. No card is needed.`,
		Example: "  cardctl applet inspect IsoApplet.cap\n  cardctl applet inspect IsoApplet.cap -o json",
		Args:    oneArg("the CAP or IJC file"),
		RunE:    func(cmd *cobra.Command, args []string) error { return runAppletInspect(cmd.Context(), env, args[0]) },
	}
}

type appletFileReport struct {
	File string `json:"file"`
	*applet.Report
}

func runAppletInspect(ctx context.Context, env *session, path string) error {
	f, err := readApplet(ctx, env, path)
	if err != nil {
		return err
	}
	report := appletFileReport{path, f.Report()}
	return env.result("AppletFile", report, report.text)
}

func (r *appletFileReport) text(s *output.Sheet) {
	s.Heading("Package " + packageText(r.Package))
	s.Field("format", fmt.Sprintf("%s %s", r.Format, r.CAPVersion))
	s.Field("applets", applet.Join(r.Applets))
	if len(r.Applets) == 0 {
		s.Field("applets", "none, it is a library")
	}
	s.Field("Java Card", r.JavaCard)
	s.Field("GlobalPlatform", r.GlobalPlatform)
	if r.Integers {
		s.Field("integers", "uses the type int, which not every card supports")
	}
	for _, p := range r.Imports {
		s.Field("imports", packageText(p))
	}
	s.Field("load size", fmt.Sprintf("%d bytes, %d with Descriptor and Debug", r.LoadSize, r.LoadSizeFull))
	s.Field("SHA-1", r.SHA1)
	s.Field("SHA-256", r.SHA256)
	s.Gap()
	s.Heading("Components")
	rows := [][]string{{"NAME", "BYTES", "LOADED"}}
	for _, c := range r.Components {
		loaded := "yes"
		if !c.Loaded {
			loaded = "no"
		}
		rows = append(rows, []string{c.Name, decimal(c.Size), loaded})
	}
	s.Table(rows...)
}

func decimal(n int) string { return strconv.Itoa(n) }
