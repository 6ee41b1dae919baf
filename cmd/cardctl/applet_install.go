package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/typed"
)

type appletInstallOptions struct {
	applet.InstallWish
	domain domainFlags
}

func newAppletInstallCmd(env *session) *cobra.Command {
	var o appletInstallOptions
	cmd := &cobra.Command{
		Use:   "install [FILE]",
		Short: "Install an applet from a CAP or IJC file",
		Long: `Load the package in a CAP or IJC file onto the card, install its applets, and
check that the card lists them. Before changing anything, cardctl checks the
file, the parameters and what is on the card. If a step fails, it deletes what
it loaded, or the error says what remains.

If the card reports its free memory, cardctl also checks that the package fits.
A card that turns out to be full keeps nothing of the package.

With --replace, cardctl shows what will be deleted and asks you to confirm. Keys
and data in it are lost, even if the card then refuses the new package.

A file with several applets needs --applet for each one to install. To install
them under other AIDs than those in the file, repeat --instance in the same
order. With --package instead of FILE, cardctl installs another instance of an
applet in a package that is already on the card.`,
		Example: `  cardctl applet install IsoApplet.cap --card-keys default
  cardctl applet install SmartPGP.cap --card-keys file:card.keys \
      --instance D276000124010304AFAF000000000000
  cardctl applet install Wallet.cap --card-keys file:card.keys \
      --replace --dry-run
  cardctl applet install --package F276A288BCFBA69D34F310 \
      --applet F276A288BCFBA69D34F31001 --instance F276A288BCFBA69D34F31002 \
      --card-keys default`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 && o.Package != "" {
				return nil
			}
			return typed.OneArg("the CAP or IJC file")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAppletInstall(cmd.Context(), env, &o, first(args))
		},
	}
	flags := cmd.Flags()
	flags.StringSliceVar(&o.Applets, "applet", nil, "`AID` of an applet in the file")
	flags.StringSliceVar(&o.Instances, "instance", nil, "`AID` of the installed applet (default: the one in the file)")
	flags.StringVar(&o.Package, "package", "", "`AID` of a package on the card, instead of a file")
	flags.StringVar(&o.Parameters, "parameters", "", "the applet's own install parameters (the value of C9), in `hex`")
	flags.StringVar(&o.Raw, "raw-parameters", "", "the whole install parameters field, in `hex`")
	flags.StringVar(&o.Privileges, "privileges", "", "`names` of the applet's privileges, such as default-selected,card-lock")
	flags.StringVar(&o.Memory, "memory", "", "memory `limits` in bytes: code=N,data=N,volatile=N")
	flags.StringVar(&o.LoadHash, "load-hash", "", "send the `hash` of the load file: sha1 or sha256 (no value: the one that suits the card)")
	flags.Lookup("load-hash").NoOptDefVal = "auto"
	flags.Uint16Var(&o.BlockSize, "block-size", 0, "most `bytes` of data per LOAD command, 48 to 65535 (default: as many as fit)")
	flags.BoolVar(&o.LoadOnly, "load-only", false, "load the package and install nothing from it")
	flags.BoolVar(&o.Replace, "replace", false, "first delete the package and everything installed from it")
	flags.BoolVar(&o.DryRun, "dry-run", false, "check everything, including the card, and change nothing")
	o.domain.add(flags)
	return cmd
}

// runAppletInstall checks the file and the flags before it looks for a card.
func runAppletInstall(ctx context.Context, env *session, o *appletInstallOptions, path string) error {
	o.Domain = o.domain.wish()
	install := func(ctx context.Context, d *desk.Desk, a desk.Access, options applet.InstallOptions) (plan *applet.Plan, err error) {
		if options.Package != nil && path != "" {
			return nil, problem.New(problem.Usage, "a file and --package cannot be combined").Advise(advice.Repeat().Without(advice.Package))
		}
		if path != "" {
			if options.File, err = readApplet(ctx, env, path); err != nil {
				return nil, err
			}
		}
		options.Progress = env.loading
		return applet.Install(ctx, d, a, options)
	}
	return onDomain(ctx, env, &o.domain, o.Parse, install, "AppletInstalled", (*applet.Plan).Text)
}

// loading shows how the work goes on.
func (env *session) loading(p applet.Progress) {
	if p.Total > 0 {
		env.progress.Bar(p.Step, p.Sent, p.Total)
		return
	}
	env.progress.Show(p.Step)
}
