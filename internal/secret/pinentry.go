package secret

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"runtime"
	"time"

	"github.com/cardctl/cardctl/internal/output"
	"github.com/cardctl/cardctl/internal/problem"
)

// ErrCancelled is that a person closed the window of pinentry.
var ErrCancelled = problem.New(problem.Usage, "cancelled")

// askPinentry has GnuPG's pinentry ask for the secret.
func (r *Resolver) askPinentry(ctx context.Context, q Request) (s *Bytes, err error) {
	err = r.withPinentry(ctx, func(dialogue *assuan) error {
		s, err = r.pinentryDialogue(dialogue, q)
		return err
	})
	if err != nil {
		s.Wipe()
		return nil, err
	}
	return s, nil
}

// Confirm has pinentry ask whether something may be done. A no is a problem.Refused.
func (r *Resolver) Confirm(ctx context.Context, question string) error {
	err := r.withPinentry(ctx, func(dialogue *assuan) error {
		if err := r.introduce(dialogue, question); err != nil {
			return err
		}
		return dialogue.command("CONFIRM", "")
	})
	var no *assuanError
	if errors.As(err, &no) {
		return problem.New(problem.Refused, "not confirmed").Because("A person was asked, and said no.")
	}
	return err
}

// withPinentry runs pinentry for a dialogue.
func (r *Resolver) withPinentry(ctx context.Context, talk func(*assuan) error) error {
	program := r.Pinentry
	if program == "" {
		program = "pinentry"
	}
	running, end := context.WithCancel(ctx)
	defer end()
	cmd := r.child(running, program)
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		if errors.Is(err, exec.ErrNotFound) {
			return problem.New(problem.Usage, "the program %s is not installed", program)
		}
		return problem.Wrap(problem.Usage, err, "pinentry could not be started")
	}
	stop := context.AfterFunc(running, func() { _ = out.Close() })
	defer stop()
	dialogue := newAssuan(out, in)
	err = talk(dialogue)
	dialogue.close()
	_ = in.Close()
	late := time.AfterFunc(killDelay, end)
	drain(out) // it does not end while it has more to say
	waited := cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case !late.Stop(), err == nil, waited == nil, errors.Is(err, ErrCancelled):
		return err
	}
	return exitProblem("pinentry", waited)
}

// introduce says who asks, and what about.
func (r *Resolver) introduce(a *assuan, description string) error {
	if err := a.greeting(); err != nil {
		return err
	}
	for _, option := range r.pinentryOptions() {
		// A pinentry without a terminal does not know these.
		if err := a.command("OPTION", option); err != nil && !refused(err) {
			return err
		}
	}
	if err := a.command("SETTITLE", "cardctl"); err != nil {
		return err
	}
	return a.command("SETDESC", description)
}

func (r *Resolver) pinentryDialogue(a *assuan, q Request) (*Bytes, error) {
	description := output.Line(q.label())
	if q.Note != "" {
		description += "\n" + output.Line(q.Note)
	}
	if err := r.introduce(a, description); err != nil {
		return nil, err
	}
	if err := a.command("SETPROMPT", q.Name.Words()+":"); err != nil {
		return nil, err
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
