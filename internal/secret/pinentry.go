package secret

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"runtime"

	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

var errCancelled = problem.New(problem.Usage, "cancelled")

// askPinentry has GnuPG's pinentry ask for the secret.
func (r *Resolver) askPinentry(ctx context.Context, q Request) (*Bytes, error) {
	program := r.Pinentry
	if program == "" {
		program = "pinentry"
	}
	cmd := r.child(ctx, program)
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return nil, problem.New(problem.Usage, "the program %s is not installed", program)
		}
		return nil, problem.Wrap(problem.Usage, err, "pinentry could not be started")
	}
	stop := context.AfterFunc(ctx, func() { _ = out.Close() })
	defer stop()
	dialogue := newAssuan(out, in)
	s, err := r.pinentryDialogue(dialogue, q)
	dialogue.close()
	_ = in.Close()
	waited := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		s.Wipe()
		return nil, ctx.Err()
	case err == nil, waited == nil, errors.Is(err, errCancelled):
		return s, err
	}
	return nil, exitProblem("pinentry", waited)
}

func (r *Resolver) pinentryDialogue(a *assuan, q Request) (*Bytes, error) {
	if err := a.greeting(); err != nil {
		return nil, err
	}
	for _, option := range r.pinentryOptions() {
		// A pinentry without a terminal does not know these.
		if err := a.command("OPTION", option); err != nil && !refused(err) {
			return nil, err
		}
	}
	description := output.Line(q.label())
	if q.Note != "" {
		description += "\n" + output.Line(q.Note)
	}
	for _, c := range [][2]string{
		{"SETTITLE", "cardctl"},
		{"SETDESC", description},
		{"SETPROMPT", q.Name.Words() + ":"},
	} {
		if err := a.command(c[0], c[1]); err != nil {
			return nil, err
		}
	}
	if !q.New {
		return a.getPIN()
	}
	err := a.command("SETREPEAT", "repeat:")
	if refused(err) {
		return askTwice(a, q)
	}
	if err != nil {
		return nil, err
	}
	if err := a.command("SETREPEATERROR", "The entries differ. Try again."); err != nil && !refused(err) {
		return nil, err
	}
	return a.getPIN()
}

// askTwice is for a pinentry that cannot ask for a repetition itself.
func askTwice(a *assuan, q Request) (*Bytes, error) {
	s, err := a.getPIN()
	if err != nil {
		return nil, err
	}
	if err := a.command("SETDESC", output.Line("Repeat "+q.label())); err != nil {
		s.Wipe()
		return nil, err
	}
	again, err := a.getPIN()
	if err != nil {
		s.Wipe()
		return nil, err
	}
	defer again.Wipe()
	if !bytes.Equal(s.Reveal(), again.Reveal()) {
		s.Wipe()
		return nil, problem.New(problem.Usage, "the two entries differed")
	}
	return s, nil
}

// pinentryOptions tell a pinentry which terminal and language to use.
func (r *Resolver) pinentryOptions() []string {
	var options []string
	tty, _ := Lookup(r.Env, "GPG_TTY")
	if tty == "" && runtime.GOOS != "windows" && r.Terminal != nil && r.Terminal.Available() {
		tty = "/dev/tty"
	}
	if tty != "" {
		options = append(options, "ttyname="+tty)
	}
	if term, _ := Lookup(r.Env, "TERM"); term != "" {
		options = append(options, "ttytype="+term)
	}
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value, _ := Lookup(r.Env, name); value != "" {
			options = append(options, "lc-ctype="+value)
			break
		}
	}
	return options
}
