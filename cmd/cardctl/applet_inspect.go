package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/typed"
)

func newAppletInspectCmd(env *session) *cobra.Command {
	return &cobra.Command{
		Use:   "inspect FILE",
		Short: "Show what is in a CAP or IJC file",
		Long: `Show the package and the applets in a CAP or IJC file with their AIDs, imports
and the Java Card version that they need. Also show the components, and which of
them would be loaded. No card is needed.`,
		Example: "  cardctl applet inspect IsoApplet.cap\n  cardctl applet inspect IsoApplet.cap -o json",
		Args:    typed.OneArg("the CAP or IJC file"),
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
	return env.result("AppletFile", report, report.Text)
}
