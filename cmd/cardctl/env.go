package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/cardctl/cardctl/internal/advice"
	"github.com/cardctl/cardctl/internal/desk"
	"github.com/cardctl/cardctl/internal/ledger"
	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
	"github.com/cardctl/cardctl/internal/record"
	"github.com/cardctl/cardctl/internal/runner"
	"github.com/cardctl/cardctl/internal/terminal"
	"github.com/cardctl/cardctl/internal/typed"
)

// Env is all that a run of the program has of the world around it. It is not
// changed by a run.
//
// What goes where: results to Out, nothing else. Errors, notes and progress to
// Err, where with -o json there is an error's document or nothing. Prompts to
// the terminal itself, so that both can be pipes.
type Env struct {
	In       io.Reader
	Out, Err io.Writer
	Environ  []string // as os.Environ gives it
	// Descriptors are those that were handed to the process besides In, Out and Err.
	Descriptors []int
	Now         func() time.Time

	// live says that Err is a terminal on which things may move.
	live     bool
	terminal *terminal.Terminal
	// openReaders reaches the PC/SC daemon.
	openReaders desk.OpenReaders
	// cards are simulated cards in the place of this user's.
	cards desk.Simulated
	// modules are the PKCS#11 modules that are loaded.
	modules *desk.Modules
	// programs runs those of OpenSC; nil for child processes.
	programs runner.Func

	// unsetenv takes a variable from the process; nil where it is not ours.
	unsetenv func(name string) error
}

// session is one run of the program: its world, what its flags say, and what has
// become of it so far.
type session struct {
	*Env

	flags     sharedFlags
	progress  *output.Progress
	kept      desk.Kept // a card that a person chose a key of
	trace     *output.Trace
	recording *record.Recorder // nil until a card is looked for that is to be changed
	notLetGo  error            // of a card, after its work was done
	childEnv  []string         // for child processes, without the secrets of the command
	stop      context.CancelFunc
	lasting   context.Context // that of the command, whatever --timeout is

	line typed.Line
	// there are the readers, and the serials of cards, that errors may name.
	there *desk.Names
	// started says that the flags are known and the command's own work begins.
	started bool
}

// newEnv is the world as the process finds it. Nothing is opened.
func newEnv() *Env {
	environ := os.Environ()
	plain := terminal.Plain(environ)
	return &Env{
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr, Environ: environ, Now: time.Now,
		unsetenv:    os.Unsetenv,
		live:        !plain && terminal.IsTerminal(os.Stderr),
		terminal:    terminal.New(terminal.Options{Plain: plain}),
		openReaders: desk.OpenPCSC, modules: desk.NewModules(),
	}
}

// newSession is a run that has not begun.
func newSession(env *Env) *session {
	s := &session{Env: env, there: &desk.Names{}, progress: output.NewProgress(io.Discard, false)}
	s.line.Language = s.language()
	return s
}

// Getenv returns the value of a variable, empty where it is not set.
func (env *Env) Getenv(name string) string {
	for _, entry := range slices.Backward(env.Environ) {
		if value, ok := strings.CutPrefix(entry, name+"="); ok {
			return value
		}
	}
	return ""
}

// withhold takes from the process every variable that its children do not get:
// a PKCS#11 module starts programs of its own. Environ keeps them.
func (env *Env) withhold(childEnv []string) {
	for _, entry := range env.Environ {
		if name, _, _ := strings.Cut(entry, "="); env.unsetenv != nil && !slices.Contains(childEnv, entry) {
			_ = env.unsetenv(name) // it was set, so its name is one
		}
	}
}

// stateDir is where things are remembered between runs: CARDCTL_STATE_DIR, or
// else below the state directory of the XDG specification.
func (env *Env) stateDir() (string, error) {
	for _, place := range []struct{ variable, below string }{
		{"CARDCTL_STATE_DIR", ""},
		{"XDG_STATE_HOME", "cardctl"},
		{"LOCALAPPDATA", "cardctl"},
		{"HOME", ".local/state/cardctl"},
	} {
		if dir := env.Getenv(place.variable); dir != "" {
			return filepath.Join(dir, place.below), nil
		}
	}
	return "", problem.New(problem.Failed, "no state directory").
		Because("Neither CARDCTL_STATE_DIR nor HOME is set.").
		Advise(advice.Run("export", "CARDCTL_STATE_DIR=cardctl-state"))
}

// stateOf is where things of one kind are remembered.
func (env *Env) stateOf(kind string) (string, error) {
	dir, err := env.stateDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, kind), nil
}

// start is what comes before the work of every command.
func (env *session) start(cmd *cobra.Command, args []string) error {
	env.line.About, env.line.Run, env.line.Args = cmd, cmd, args
	if err := env.flags.complete(cmd, env.Getenv); err != nil {
		return err
	}
	if env.line.Given("ledger") { // before a card is looked at
		if err := ledger.CheckAddress(env.flags.ledger); err != nil {
			return err
		}
	}
	for _, err := range []error{cmd.ValidateRequiredFlags(), cmd.ValidateFlagGroups()} {
		if err != nil {
			return problem.New(problem.Usage, "%s", err.Error())
		}
	}
	env.started = true
	switch {
	case env.flags.progress == progressJSON:
		env.progress = output.NewJSONProgress(env.Err)
	case !env.silent() && env.flags.progress != progressNone:
		env.progress = output.NewProgress(env.Err, env.live)
	}
	env.working()
	env.lasting = desk.WithLastWords(cmd.Context(), env.lastWords)
	cmd.SetContext(env.lasting)
	if env.flags.timeout > 0 {
		ctx, stop := context.WithTimeout(cmd.Context(), env.flags.timeout)
		env.stop = stop
		cmd.SetContext(ctx)
	}
	world := *env.Env
	world.Out = output.Stoppable{Context: cmd.Context(), To: env.Out}
	env.Env = &world
	if env.flags.trace == "" {
		return nil
	}
	t, err := output.OpenTrace(cmd.Context(), env.flags.trace, env.Err)
	env.trace = t
	return err
}

// close ends what was begun for the command.
func (env *session) close() error {
	env.progress.Done()
	if env.stop != nil {
		env.stop()
	}
	err := env.notLetGo
	if env.recording != nil {
		err = errors.Join(err, env.recording.Close())
	}
	if env.trace != nil {
		err = errors.Join(err, env.trace.Close())
	}
	return errors.Join(err, env.kept.Close(), env.terminal.Close())
}

// result writes what the command came to: as a document of this kind, or as
// text.
func (env *session) result(kind string, document any, text func(*output.Sheet)) error {
	env.progress.Done()
	if env.flags.output == formatJSON {
		return notWritten(output.WriteDocument(env.Out, kind, document))
	}
	var sheet output.Sheet
	text(&sheet)
	_, err := sheet.WriteTo(env.Out)
	return notWritten(err)
}

// notWritten is a result that nobody takes.
func notWritten(err error) error {
	if stopped, ok := problem.Explained(err, "", "The command completed, but its output could not be written."); ok {
		return stopped
	}
	return problem.Wrap(problem.Failed, err, "the result could not be written to stdout").
		Because("The command completed; only its output is lost [%s].", err).
		Advise(advice.Do(advice.ShowCard))
}

// notLetGo is a card or a token that was not released after the work on it.
func notLetGo(err error) error {
	return problem.Wrap(problem.Failed, err, "the card was not released").
		Because("The command completed and its result stands. The PIN may stay verified until you remove the card [%s].", err).
		Advise(advice.Do(advice.ListReaders, advice.Switch(advice.Wait)))
}

// silent says that Err is for errors alone.
func (env *session) silent() bool { return env.flags.quiet || env.flags.output == formatJSON }

// note tells the user something that is no result.
func (env *session) note(format string, args ...any) {
	env.lines(output.Line(fmt.Sprintf(format, args...)))
}

// lines is note for lines that are laid out, and printable.
func (env *session) lines(lines ...string) {
	if env.silent() {
		return
	}
	env.progress.Done()
	for _, line := range lines {
		fmt.Fprintln(env.Err, line)
	}
	env.working()
}

// progressLine writes a line of progress for programs.
func (env *session) progressLine(kind string, document any) {
	_ = output.WriteDocument(env.Err, kind, document) // nobody reads it then
}

// working shows that the command goes on, if that takes longer.
func (env *session) working() { env.progress.Working(env.line.Command()) }

// detail is a note for those who asked for more.
func (env *session) detail(format string, args ...any) {
	if env.flags.verbose {
		env.note(format, args...)
	}
}

// red colours text where a person sees it and has nothing against it.
func (env *session) red(text string) string {
	if !env.live {
		return text
	}
	return "\x1b[31;1m" + text + "\x1b[0m"
}
