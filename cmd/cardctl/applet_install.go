package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/gp"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

type appletInstallOptions struct {
	domain             domainFlags
	applets, instances []string
	parameters         string
	privileges         string
	memory             string
	loadHash           string
	replace, dryRun    bool
}

func newAppletInstallCmd(env *Env) *cobra.Command {
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
	flags.StringSliceVar(&o.applets, "applet", nil, "`AID` of an applet in the file")
	flags.StringSliceVar(&o.instances, "instance", nil, "`AID` that the installed applet gets")
	flags.StringVar(&o.parameters, "parameters", "", "the applet's own install parameters, in `hex`")
	flags.StringVar(&o.privileges, "privileges", "", "`names` of the applet's privileges, such as default-selected,card-lock")
	flags.StringVar(&o.memory, "memory", "", "`limits` in bytes: code=N,data=N,volatile=N")
	flags.StringVar(&o.loadHash, "load-hash", "", "send the `hash` of the load file: sha1, sha256, or without a value the one that suits the card")
	flags.Lookup("load-hash").NoOptDefVal = "auto"
	flags.BoolVar(&o.replace, "replace", false, "first delete the package and everything that was installed from it")
	flags.BoolVar(&o.dryRun, "dry-run", false, "check everything, on the card too, and change nothing")
	o.domain.add(flags)
	return cmd
}

type appletInstallReport struct {
	Reader string `json:"reader"`
	*applet.Plan
}

// runAppletInstall checks the file and the flags before it looks for a card.
func runAppletInstall(ctx context.Context, env *Env, o *appletInstallOptions, path string) error {
	options, err := o.options(env)
	if err != nil {
		return err
	}
	if options.File, err = readApplet(env, path); err != nil {
		return err
	}
	var report appletInstallReport
	err = env.withDomain(ctx, options.Access, func(ctx context.Context, reader string, a applet.Access) error {
		report.Reader, options.Access = reader, a
		report.Plan, err = applet.Install(ctx, options)
		return err
	})
	if err != nil {
		return err
	}
	return env.result("AppletInstalled", report, report.text)
}

func (o *appletInstallOptions) options(env *Env) (options applet.InstallOptions, err error) {
	options = applet.InstallOptions{
		LoadHash: strings.ToLower(o.loadHash), Replace: o.replace, DryRun: o.dryRun, Progress: env.loading, Confirm: env.ask,
	}
	if options.Access, err = o.domain.access(env); err != nil {
		return options, err
	}
	if options.Applets, err = parseAIDs("--applet", o.applets); err != nil {
		return options, err
	}
	if options.Instances, err = parseAIDs("--instance", o.instances); err != nil {
		return options, err
	}
	if options.Parameters, err = hex.DecodeString(strings.ReplaceAll(o.parameters, " ", "")); err != nil {
		return options, problem.New(problem.Usage, "--parameters: not hexadecimal").
			Because("Two digits make a byte, and nothing else may be there.").Hint("--parameters 0102FF")
	}
	if options.Privileges, err = gp.ParsePrivileges(o.privileges); err != nil {
		return options, problem.Wrap(problem.Usage, err, "--privileges")
	}
	options.Memory, err = parseMemory(o.memory)
	return options, err
}

// loading shows how the work goes on.
func (env *Env) loading(p applet.Progress) {
	if p.Total > 0 {
		env.progress.Bar(p.Step, p.Sent, p.Total)
		return
	}
	env.progress.Show(p.Step)
}

// parseMemory reads limits such as code=12000,data=4000.
func parseMemory(text string) (m gp.Memory, err error) {
	if text == "" {
		return m, nil
	}
	for limit := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(limit), "=")
		n, err := strconv.ParseUint(value, 0, 31)
		field := map[string]*int{"code": &m.Code, "data": &m.Data, "volatile": &m.Volatile}[strings.ToLower(name)]
		if err != nil || field == nil || n == 0 || *field != 0 {
			return m, problem.New(problem.Usage, "--memory: %q is no limit", output.Line(limit)).
				Because("There are code, data and volatile, each once and with a number of bytes.").
				Hint("--memory code=12000,data=4000,volatile=500")
		}
		*field = int(n)
	}
	return m, nil
}

func (r *appletInstallReport) text(s *output.Sheet) {
	done := "Installed the package "
	if r.DryRun {
		done = "Nothing is in the way of the package "
	}
	s.Heading(done + packageText(r.Package) + " in " + r.Reader)
	for _, i := range r.Instances {
		s.Field("application", strings.Join(slices.Insert(slices.Clone(i.Privileges), 0, i.AID.String()), ", "))
		if !i.AID.Equal(i.Applet) {
			s.Field("of the applet", i.Applet.String())
		}
	}
	replaced := "deleted before"
	if r.DryRun {
		replaced = "to be deleted"
	}
	s.Field(replaced, joinAIDs(r.Deletes))
	s.Field("belongs to", r.Domain.String())
	s.Field("size", fmt.Sprintf("%d bytes in %d blocks", r.LoadSize, r.Blocks))
	if r.Memory != nil {
		s.Field("free", fmt.Sprintf("%d bytes, and %d of RAM", r.Memory.NonVolatile, r.Memory.Volatile))
	}
}
