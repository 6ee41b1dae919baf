package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/output"
)

type appletInstallOptions struct {
	applet.InstallWish
	domain domainFlags
}

func newAppletInstallCmd(env *session) *cobra.Command {
	var o appletInstallOptions
	cmd := &cobra.Command{
		Use:   "install FILE",
		Short: "Install an applet from a CAP or IJC file",
		Long: `Load the package in a CAP or IJC file onto the card, install applets of it, and
see that they are there. The file, the parameters and what is on the card are
checked before anything is changed; where a step fails, what was loaded is
removed again, or the error says what stayed.

Whether the card has room is checked before too, where the card tells; one that
turns out to be full keeps nothing of the package.

With --replace, what is deleted is shown and has to be confirmed: the keys and
data in it are lost, also if the card then refuses the new package.

A file with several applets wants --applet for each one to install; --instance,
as often and in the same order, gives them other AIDs than those in the file.`,
		Example: `  cardctl applet install IsoApplet.cap --card-keys default
  cardctl applet install SmartPGP.cap --card-keys file:card.keys \
      --instance D276000124010304AFAF000000000000
  cardctl applet install Wallet.cap --card-keys file:card.keys \
      --replace --dry-run`,
		Args: oneArg("the CAP or IJC file"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAppletInstall(cmd.Context(), env, &o, args[0])
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.Applets, "applet", nil, "`AID` of an applet in the file")
	flags.StringSliceVar(&o.Instances, "instance", nil, "`AID` that the installed applet gets")
	flags.StringVar(&o.Parameters, "parameters", "", "the applet's own install parameters, in `hex`")
	flags.StringVar(&o.Privileges, "privileges", "", "`names` of the applet's privileges, such as default-selected,card-lock")
	flags.StringVar(&o.Memory, "memory", "", "`limits` in bytes: code=N,data=N,volatile=N")
	flags.StringVar(&o.LoadHash, "load-hash", "", "send the `hash` of the load file: sha1, sha256, or without a value the one that suits the card")
	flags.Lookup("load-hash").NoOptDefVal = "auto"
	flags.BoolVar(&o.Replace, "replace", false, "first delete the package and everything that was installed from it")
	flags.BoolVar(&o.DryRun, "dry-run", false, "check everything, on the card too, and change nothing")
	o.domain.add(flags)
	return cmd
}

// runAppletInstall checks the file and the flags before it looks for a card.
func runAppletInstall(ctx context.Context, env *session, o *appletInstallOptions, path string) error {
	o.Domain = o.domain.wish()
	options, err := o.Parse()
	if err != nil {
		return err
	}
	access, err := o.domain.secrets.access(env)
	if err != nil {
		return err
	}
	if options.File, err = readApplet(ctx, env, path); err != nil {
		return err
	}
	options.Progress = env.loading
	plan, err := applet.Install(ctx, env.desk(), access, options)
	if err != nil {
		return err
	}
	return env.result("AppletInstalled", plan, func(s *output.Sheet) { planText(s, plan) })
}

// loading shows how the work goes on.
func (env *session) loading(p applet.Progress) {
	if p.Total > 0 {
		env.progress.Bar(p.Step, p.Sent, p.Total)
		return
	}
	env.progress.Show(p.Step)
}

func planText(s *output.Sheet, p *applet.Plan) {
	done := "Installed the package "
	if p.DryRun {
		done = "Nothing is in the way of the package "
	}
	s.Heading(done + packageText(p.Package) + " in " + p.Reader)
	for _, i := range p.Instances {
		s.Field("application", i.String())
		if !i.AID.Equal(i.Applet) {
			s.Field("of the applet", i.Applet.String())
		}
	}
	replaced := "deleted before"
	if p.DryRun {
		replaced = "to be deleted"
	}
	s.Field(replaced, applet.Join(p.Deletes))
	s.Field("belongs to", p.Domain.String())
	s.Field("size", fmt.Sprintf("%d bytes in %d blocks", p.LoadSize, p.Blocks))
	if p.Memory != nil {
		s.Field("free", p.Memory.String())
	}
}
