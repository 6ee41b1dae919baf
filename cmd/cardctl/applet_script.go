package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/applet"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/typed"
)

func newAppletScriptCmd(env *session) *cobra.Command {
	var f domainFlags
	var o applet.ScriptOptions
	cmd := &cobra.Command{
		Use:   "script FILE",
		Short: "Run a GPShell script",
		Long: `Run a GPShell script unchanged on the selected card (see --reader and --serial).
A reader named in the script is ignored. FILE is the script, or - for stdin.

cardctl refuses an unknown command or option before it sends anything to the
card. The card keys are those in the script. ${NAME} in the script stands for an
environment variable.

If the script deletes something or replaces card keys, cardctl asks you to
confirm.

The commands reach the card as GPShell sends them. A refused send_apdu, delete
or delete_key does not end the script, unless you add --stop-on-error.

Unlike GPShell, delete does not delete a package that applets were installed
from, unless you add --with-applets. If the card's security domain has a
different well-known AID from the one in the script, cardctl selects it anyway
and reports that. The commands are:

` + scriptCommands(),
		Example: "  cardctl applet script install.gpsh\n  cardctl applet script list.gpsh --reader sim:desk",
		Args:    typed.OneArg("the GPShell script, or - for stdin"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAppletScript(cmd.Context(), env, &f, o, args[0])
		},
	}
	cmd.Flags().BoolVar(&o.WithApplets, "with-applets", false, "with a package, also delete everything installed from it")
	cmd.Flags().BoolVar(&o.StopOnError, "stop-on-error", false, "end the script at any command that the card refuses")
	f.addRetry(cmd.Flags())
	return cmd
}

func scriptCommands() string {
	var s output.Sheet
	s.Field("", strings.Join(applet.ScriptCommands(), " "))
	var b strings.Builder
	_, _ = s.WriteTo(&b)
	return strings.TrimRight(b.String(), "\n")
}

type scriptReport struct {
	Reader   string          `json:"reader"`
	Commands []scriptCommand `json:"commands"`

	unwritten error // of what was shown
}

// scriptCommand is a command that was run, and what it had to say.
type scriptCommand struct {
	Line    int      `json:"line"`
	Command string   `json:"command"`
	Output  []string `json:"output"`
}

func runAppletScript(ctx context.Context, env *session, f *domainFlags, options applet.ScriptOptions, file string) error {
	text, err := env.readFile(ctx, file, applet.MaxScript)
	if err != nil {
		return err
	}
	options.RetryKeys, options.AcceptRandomChallenge = f.retryKeys, f.anyChallenge
	if options.Script, err = applet.ParseScript(text, env.Getenv); err != nil {
		return about(err, file)
	}
	if file != "-" {
		options.Dir = filepath.Dir(file)
	}
	access, err := f.secrets.access(env)
	if err != nil {
		return err
	}
	report := scriptReport{Commands: []scriptCommand{}}
	options.Report = func(e applet.ScriptEvent) { report.add(env, e) }
	if report.Reader, err = applet.RunScript(ctx, env.desk(), access, options); err != nil {
		return err
	}
	if report.unwritten != nil {
		return notWritten(report.unwritten)
	}
	return env.result("ScriptRun", report, func(*output.Sheet) {})
}

// add keeps what happens for the document, or shows it at once: what a script
// said before it failed counts. Its commands are progress, what they say is the
// result.
func (r *scriptReport) add(env *session, e applet.ScriptEvent) {
	last := len(r.Commands) - 1
	text := problem.Sentences(e.Text, env.line.Unless(e.Unless))
	switch {
	case e.Text == "":
		env.note("%d: %s", e.Line, e.Command)
		r.Commands = append(r.Commands, scriptCommand{Line: e.Line, Command: e.Command, Output: []string{}})
	case env.flags.output == formatJSON:
		r.Commands[last].Output = append(r.Commands[last].Output, text)
	case r.unwritten == nil:
		_, r.unwritten = fmt.Fprintln(env.Out, output.Line(text))
	}
}
